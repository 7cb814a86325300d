// Included by the shaders that read numbers as bits: NaN, infinities and denormal numbers are told
// apart by their bit patterns, on drivers that assume there are none.

const MAGNITUDE: u32 = 0x7fffffffu;
const INFINITY: u32 = 0x7f800000u;

// Whether a number is neither NaN nor infinite.
fn is_finite(bits: u32) -> bool {
    return (bits & MAGNITUDE) < INFINITY;
}
