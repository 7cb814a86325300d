// Included by the kernels that multiply two matrices row by row: tiles of pairs of rows.
//
// A workgroup owns a tile of 4 · SIDE rows. Each invocation holds the pairs of 4 own rows and 4 other
// rows, in columns that are staged in workgroup memory DEPTH at a time.

const SIDE: u32 = {{ side }}u;
const TILE: u32 = 4u * SIDE;
const DEPTH: u32 = 16u;        // columns staged at once
const STRIDE: u32 = SIDE + 1u; // one more than needed, against bank conflicts

var<workgroup> left: array<vec4<f32>, {{ slots }}>;  // [DEPTH][STRIDE], a column of 4 own rows each
var<workgroup> right: array<vec4<f32>, {{ slots }}>; // the same of 4 other rows

// A number of each pair of 4 own rows (components) and 4 other rows (columns).
alias Pairs = mat4x4<f32>;

// Adds the products of `depth` staged columns.
fn products(sums: Pairs, depth: u32, local: vec2<u32>) -> Pairs {
    var s0 = sums[0];
    var s1 = sums[1];
    var s2 = sums[2];
    var s3 = sums[3];
    for (var k = 0u; k < depth; k++) {
        let a = left[k * STRIDE + local.y];
        let b = right[k * STRIDE + local.x];
        s0 += a * b.x;
        s1 += a * b.y;
        s2 += a * b.z;
        s3 += a * b.w;
    }
    return Pairs(s0, s1, s2, s3);
}

// The sum of a number over the invocations that share four own rows; all of them get it.
fn gathered(number: vec4<f32>, local: vec2<u32>) -> vec4<f32> {
    workgroupBarrier();
    left[local.y * STRIDE + local.x] = number;
    workgroupBarrier();
    var sum = vec4(0.0);
    for (var t = 0u; t < SIDE; t++) {
        sum += left[local.y * STRIDE + t];
    }
    return sum;
}
