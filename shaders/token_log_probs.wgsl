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
        var found = logits(own, start, local);
        let token = start + 4u * local.x;
        let before = top;
        for (var c = 0u; c < 4u; c++) {
            let inside = token + c < end;
            non_finite += select(vec4(0.0), non_finite_marks(found[c]), vec4(inside));
            chosen += select(vec4(0.0), found[c], (wanted == vec4(token + c)) & vec4(inside));
            found[c] = select(vec4(LOWEST), found[c], vec4(inside));
            top = max(top, found[c]);
        }
        // Sums relative to the greatest logit so far: earlier sums shrink when a greater one is found.
        let behind = before - top;
        let shrink = exp(behind);
        weighed = (weighed + total * behind) * shrink;
        total = total * shrink;
        for (var c = 0u; c < 4u; c++) {
            let inside = vec4(token + c < end);
            let below = select(vec4(0.0), found[c] - top, inside);
            let weight = select(vec4(0.0), exp(below), inside);
            total += weight;
            weighed += weight * below;
        }
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
