// Joins the splits of token_log_probs.wgsl.
//
// Shapes     partials [splits, rows, 5] as that shader writes them.
// Result     statistics [rows, 3]: log Σ exp(l), the entropy of softmax(l), and the target's logit (0
//            without a target). NaN throughout for a row with a NaN or infinite logit.
// Work       64 rows a workgroup, one invocation a row. Grids are folded into x and y.
// Limits     core WebGPU: 64 invocations, no workgroup memory, 2 storage buffers.

struct Params {
    rows: u32,
    splits: u32,
    // The bits of a NaN: WGSL has no NaN literal.
    not_a_number: u32,
}

@group(0) @binding(0) var<storage, read_write> partials: array<f32>;   // [splits, rows, 5]
@group(0) @binding(1) var<storage, read_write> statistics: array<f32>; // [rows, 3]
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let row = (group.y * groups.x + group.x) * 64u + local.x;
    if (row >= params.rows) {
        return;
    }
    var greatest = partials[5u * row];
    for (var split = 1u; split < params.splits; split++) {
        greatest = max(greatest, partials[5u * (split * params.rows + row)]);
    }
    var total = 0.0;
    var weighed = 0.0;
    var chosen = 0.0;
    var non_finite = 0.0;
    for (var split = 0u; split < params.splits; split++) {
        let at = 5u * (split * params.rows + row);
        let behind = partials[at] - greatest;
        let shrink = exp(behind);
        weighed += (partials[at + 2u] + partials[at + 1u] * behind) * shrink;
        total += partials[at + 1u] * shrink;
        chosen += partials[at + 3u];
        non_finite += partials[at + 4u];
    }
    let at = 3u * row;
    if (non_finite > 0.0) {
        let not_a_number = bitcast<f32>(params.not_a_number);
        statistics[at] = not_a_number;
        statistics[at + 1u] = not_a_number;
        statistics[at + 2u] = not_a_number;
    } else {
        let rest = log(total);
        statistics[at] = greatest + rest;
        statistics[at + 1u] = rest - weighed / total;
        statistics[at + 2u] = chosen;
    }
}
