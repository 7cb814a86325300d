// Statistics of the logits of tokens, forward: for each row r with hidden state h_r, over the rows v of the
// output head W,
//
//     l_rv = h_r · W_v        log Σ_v exp(l_rv)        Σ_v exp(l_rv) l_rv        l_r,target(r)
//
// with an online softmax over tiles of the vocabulary: no matrix of logits exists. Each invocation holds
// the logits of 4 rows and 4 of every tile's tokens, and sums of its own, which are added up at the end.
//
// Template   side: invocations along each side of a workgroup (8 or 16; a tile has 4 · side rows).
// Shapes     hidden [rows, width], head [vocabulary, width], targets [rows]; a target beyond the
//            vocabulary is none. The vocabulary is split into shares of `share` tokens, a multiple of
//            the tile; a workgroup in z takes one.
// Results    partials [splits, rows, 5]: the greatest logit, Σ exp(l − greatest),
//            Σ exp(l − greatest) (l − greatest), the target's logit or 0, and above 0 if a logit is
//            NaN or infinite. token_log_probs_rows.wgsl joins the splits.
// Limits     core WebGPU: 256 invocations, 9 KiB of workgroup memory with side 16, 4 storage
//            buffers. Tiles of rows are folded into x and y of the grid. Logits from −1e37 to 1e37.
// Includes   logits.wgsl, tile.wgsl, bits.wgsl

struct Params {
    rows: u32,
    width: u32,
    vocabulary: u32,
    share: u32,
}

@group(0) @binding(0) var<storage, read_write> hidden: array<f32>;   // [rows, width]
@group(0) @binding(1) var<storage, read_write> head: array<f32>;     // [vocabulary, width]
@group(0) @binding(2) var<storage, read_write> targets: array<u32>;  // [rows]
@group(0) @binding(3) var<storage, read_write> partials: array<f32>; // [splits, rows, 5]
@group(0) @binding(4) var<uniform> params: Params;

const LOWEST: f32 = -1e38; // below every logit

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
    let begin = group.z * params.share;
    let end = min(begin + params.share, params.vocabulary);
    let row = min(vec4(own) + vec4(0u, 1u, 2u, 3u), vec4(params.rows - 1u));
    let wanted = vec4(targets[row.x], targets[row.y], targets[row.z], targets[row.w]);

    var top = vec4(LOWEST);
    var total = vec4(0.0);
    var weighed = vec4(0.0);
    var chosen = vec4(0.0);
    var non_finite = vec4(0.0);
    for (var start = begin; start < end; start += TILE) {
        // A loop over the four columns would make Microsoft's older compiler, FXC, take minutes.
        let found = logits(own, start, local);
        let token = start + 4u * local.x;
        let none = vec4(0.0);
        let i0 = vec4(token < end);
        let i1 = vec4(token + 1u < end);
        let i2 = vec4(token + 2u < end);
        let i3 = vec4(token + 3u < end);
        non_finite += select(none, non_finite_marks(found[0]), i0);
        non_finite += select(none, non_finite_marks(found[1]), i1);
        non_finite += select(none, non_finite_marks(found[2]), i2);
        non_finite += select(none, non_finite_marks(found[3]), i3);
        chosen += select(none, found[0], (wanted == vec4(token)) & i0);
        chosen += select(none, found[1], (wanted == vec4(token + 1u)) & i1);
        chosen += select(none, found[2], (wanted == vec4(token + 2u)) & i2);
        chosen += select(none, found[3], (wanted == vec4(token + 3u)) & i3);
        let l0 = select(vec4(LOWEST), found[0], i0);
        let l1 = select(vec4(LOWEST), found[1], i1);
        let l2 = select(vec4(LOWEST), found[2], i2);
        let l3 = select(vec4(LOWEST), found[3], i3);
        // Sums relative to the greatest logit so far: earlier sums shrink when a greater one is found.
        let before = top;
        top = max(max(max(max(top, l0), l1), l2), l3);
        let behind = before - top;
        let shrink = exp(behind);
        let b0 = select(none, l0 - top, i0);
        let b1 = select(none, l1 - top, i1);
        let b2 = select(none, l2 - top, i2);
        let b3 = select(none, l3 - top, i3);
        let w0 = select(none, exp(b0), i0);
        let w1 = select(none, exp(b1), i1);
        let w2 = select(none, exp(b2), i2);
        let w3 = select(none, exp(b3), i3);
        weighed = (weighed + total * behind) * shrink + w0 * b0 + w1 * b1 + w2 * b2 + w3 * b3;
        total = total * shrink + w0 + w1 + w2 + w3;
    }

    // Add up the sums of each row, relative to the greatest of all its logits.
    workgroupBarrier();
    left[local.y * STRIDE + local.x] = top;
    workgroupBarrier();
    var greatest = top;
    for (var t = 0u; t < SIDE; t++) {
        greatest = max(greatest, left[local.y * STRIDE + t]);
    }
    let behind = top - greatest;
    let shrink = exp(behind);
    weighed = gathered((weighed + total * behind) * shrink, local);
    total = gathered(total * shrink, local);
    chosen = gathered(chosen, local);
    non_finite = gathered(non_finite, local);
    if (local.x != 0u) {
        return;
    }
    for (var r = 0u; r < 4u; r++) {
        if (own + r >= params.rows) {
            break;
        }
        let at = 5u * (group.z * params.rows + own + r);
        partials[at] = greatest[r];
        partials[at + 1u] = total[r];
        partials[at + 2u] = weighed[r];
        partials[at + 3u] = chosen[r];
        partials[at + 4u] = non_finite[r];
    }
}
