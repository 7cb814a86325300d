// The gradient of a loss with respect to a window of logits, from its gradients (a, b, c) with respect to
// the statistics of token_log_probs_rows.wgsl:
//
//     slope_rv = p_rv (a_r − b_r (log p_rv + entropy_r)) + c_r [v = target(r)]        p = softmax(l)
//
// The logits are computed again, a tile of rows and tokens a workgroup. Slopes times head and slopes
// times hidden states are the gradients of both.
//
// Template   side: invocations along each side of a workgroup (8 or 16; a tile has 4 · side rows).
// Shapes     hidden [rows, width], head [vocabulary, width], targets [rows], statistics and gradient
//            [rows, 3]; the window holds `window` tokens from `first` on.
// Result     slopes [rows, window]; NaN throughout for a row whose statistics or gradient are
//            non-finite.
// Limits     core WebGPU: 256 invocations, 9 KiB of workgroup memory with side 16, 6 storage
//            buffers. Tiles of rows are folded into x and y of the grid, tiles of tokens are in z.
// Includes   logits.wgsl, tile.wgsl, bits.wgsl

struct Params {
    rows: u32,
    width: u32,
    vocabulary: u32,
    first: u32,
    window: u32,
    // The bits of a NaN: WGSL has no NaN literal.
    not_a_number: u32,
}

@group(0) @binding(0) var<storage, read_write> hidden: array<f32>;     // [rows, width]
@group(0) @binding(1) var<storage, read_write> head: array<f32>;       // [vocabulary, width]
@group(0) @binding(2) var<storage, read_write> targets: array<u32>;    // [rows]
@group(0) @binding(3) var<storage, read_write> statistics: array<f32>; // [rows, 3]
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>;   // [rows, 3]
@group(0) @binding(5) var<storage, read_write> slopes: array<f32>;     // [rows, window]
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size({{ side }}, {{ side }}, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) id: vec3<u32>,
) {
    let local = id.xy;
    let tile = group.y * groups.x + group.x;
    if (tile >= (params.rows + TILE - 1u) / TILE) {
        return;
    }
    let own = tile * TILE + 4u * local.y;
    let column = group.z * TILE + 4u * local.x;
    var found = logits(own, params.first + group.z * TILE, local);
    for (var r = 0u; r < 4u; r++) {
        let row = own + r;
        if (row >= params.rows) {
            break;
        }
        let log_sum = statistics[3u * row];
        let entropy = statistics[3u * row + 1u];
        let to_log_sum = gradient[3u * row];
        let to_entropy = gradient[3u * row + 1u];
        let to_chosen = gradient[3u * row + 2u];
        let marks = non_finite_marks(vec4(log_sum, to_log_sum, to_entropy, to_chosen));
        let non_finite = marks.x + marks.y + marks.z + marks.w > 0.0;
        for (var c = 0u; c < 4u && column + c < params.window; c++) {
            let log_p = found[c][r] - log_sum;
            var slope = exp(log_p) * (to_log_sum - to_entropy * (log_p + entropy));
            if (targets[row] == params.first + column + c) {
                slope += to_chosen;
            }
            if (non_finite) {
                slope = bitcast<f32>(params.not_a_number);
            }
            slopes[row * params.window + column + c] = slope;
        }
    }
}
