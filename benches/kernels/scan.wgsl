// For comparison in benches only: proximity as one scan over all rows, with other groups masked out, a
// cosine an invocation, and each operand of a product read from workgroup memory.
//
// Shapes     embeddings [rows, width] of unit length; values, group_of and means [rows].
// Work       16 rows a workgroup, 16 invocations a row.

struct Params {
    rows: u32,
    width: u32,
    inverse_temperature: f32,
}

@group(0) @binding(0) var<storage, read_write> embeddings: array<f32>;
@group(0) @binding(1) var<storage, read_write> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> group_of: array<f32>;
@group(0) @binding(3) var<storage, read_write> means: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const SIDE: u32 = 16u;
const STRIDE: u32 = 17u;

var<workgroup> left: array<f32, 272>;
var<workgroup> right: array<f32, 272>;
var<workgroup> weighed: array<f32, 272>;

@compute @workgroup_size(16, 16, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let own = min(workgroup.x * SIDE + local.y, params.rows - 1u);
    let slot = local.y * STRIDE + local.x;
    var nearest = -2.0;
    var total = 0.0;
    var sum = 0.0;
    for (var start = 0u; start < params.rows; start += SIDE) {
        let staged = min(start + local.y, params.rows - 1u);
        var cosine = 0.0;
        for (var k0 = 0u; k0 < params.width; k0 += SIDE) {
            let k = min(k0 + local.x, params.width - 1u);
            let inside = k0 + local.x < params.width;
            left[slot] = select(0.0, embeddings[own * params.width + k], inside);
            right[slot] = select(0.0, embeddings[staged * params.width + k], inside);
            workgroupBarrier();
            for (var t = 0u; t < SIDE; t++) {
                cosine += left[local.y * STRIDE + t] * right[local.x * STRIDE + t];
            }
            workgroupBarrier();
        }
        let other = start + local.x;
        let at = min(other, params.rows - 1u);
        if (other < params.rows && group_of[at] == group_of[own]) {
            let before = nearest;
            nearest = max(nearest, cosine);
            let shrink = exp((before - nearest) * params.inverse_temperature);
            let weight = exp((cosine - nearest) * params.inverse_temperature);
            total = total * shrink + weight;
            sum = sum * shrink + weight * values[at];
        }
    }
    left[slot] = nearest;
    right[slot] = total;
    weighed[slot] = sum;
    workgroupBarrier();
    if (local.x == 0u && workgroup.x * SIDE + local.y < params.rows) {
        var top = nearest;
        for (var t = 0u; t < SIDE; t++) {
            top = max(top, left[local.y * STRIDE + t]);
        }
        total = 0.0;
        sum = 0.0;
        for (var t = 0u; t < SIDE; t++) {
            let at = local.y * STRIDE + t;
            let shrink = exp((left[at] - top) * params.inverse_temperature);
            total += right[at] * shrink;
            sum += weighed[at] * shrink;
        }
        means[own] = sum / total;
    }
}
