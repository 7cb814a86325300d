// The factors that scale each row's embedding to unit length, for the proximity kernels.
//
// Shapes     rows · width numbers of embeddings, rows · columns values. A launch takes a window of rows
//            from `first` on; scales hold the window alone.
// Result     two numbers a row: a power of two `a` and a factor `r`, with `unit = (e · a) · r`. The power
//            brings the row's largest number to between 2 and 4, so no square overflows or vanishes.
//            r is 0 for a row of zeros (denormal numbers count as zeros), and −1 for a row whose
//            embedding or values hold a NaN or an infinity.
// Work       16 rows a workgroup, 16 invocations a row. Grids are folded into x and y.
// Limits     core WebGPU: 256 invocations, 2 KiB of workgroup memory, 3 storage buffers. Buffers
//            are read_write because tensors may share one buffer, which cannot be bound both ways.
// Includes   bits.wgsl

struct Params {
    rows: u32,
    width: u32,
    columns: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read_write> embeddings: array<u32>; // [rows, width], bits
@group(0) @binding(1) var<storage, read_write> values: array<u32>;     // [rows, columns], bits
@group(0) @binding(2) var<storage, read_write> scales: array<f32>;     // [rows, 2]
@group(0) @binding(3) var<uniform> params: Params;

const LANES: u32 = 16u;
const LEAST_NORMAL: u32 = 0x00800000u;

var<workgroup> greatest: array<u32, 256>;
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(16, 16, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let row = (group.y * groups.x + group.x) * LANES + local.y;
    let inside = row < params.rows;
    let slot = local.y * LANES + local.x;
    let place = params.first + row;

    // Bit patterns of magnitudes are in the order of the numbers, and non-finite ones come last.
    var largest = 0u;
    var non_finite = false;
    if (inside) {
        for (var k = local.x; k < params.width; k += LANES) {
            largest = max(largest, embeddings[place * params.width + k] & MAGNITUDE);
        }
        for (var c = local.x; c < params.columns; c += LANES) {
            non_finite = non_finite || !is_finite(values[place * params.columns + c]);
        }
    }
    greatest[slot] = select(largest, INFINITY, non_finite);
    workgroupBarrier();
    for (var lane = 0u; lane < LANES; lane++) {
        largest = max(largest, greatest[local.y * LANES + lane]);
    }
    let finite = largest < INFINITY;
    let zero = largest < LEAST_NORMAL;
    // 2^-(exponent − 1), by its bits.
    let exponent = clamp(largest >> 23u, 1u, 254u);
    let power = bitcast<f32>((255u - exponent) << 23u);

    var sum = 0.0;
    if (inside && finite && !zero) {
        for (var k = local.x; k < params.width; k += LANES) {
            let bits = embeddings[place * params.width + k];
            if ((bits & MAGNITUDE) >= LEAST_NORMAL) {
                let scaled = bitcast<f32>(bits) * power;
                sum += scaled * scaled;
            }
        }
    }
    sums[slot] = sum;
    workgroupBarrier();
    if (inside && local.x == 0u) {
        var square = 0.0;
        for (var lane = 0u; lane < LANES; lane++) {
            square += sums[local.y * LANES + lane];
        }
        var factor = -1.0;
        if (finite) {
            factor = 0.0;
            if (!zero) {
                factor = 1.0 / sqrt(square);
            }
        }
        scales[2u * row] = power;
        scales[2u * row + 1u] = factor;
    }
}
