// Included by the token_log_probs shaders, with tile.wgsl: tiles of logits, the products of hidden states
// and rows of the output head.

// Column k of four hidden states from `first` on; 0 beyond the last row or column.
fn hidden_column(first: u32, k: u32) -> vec4<f32> {
    let row = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let last = min(row, vec4(params.rows - 1u));
    let at = last * params.width + vec4(min(k, params.width - 1u));
    let numbers = vec4(hidden[at.x], hidden[at.y], hidden[at.z], hidden[at.w]);
    return select(vec4(0.0), numbers, (row < vec4(params.rows)) & vec4(k < params.width));
}

// The same of four rows of the head.
fn head_column(first: u32, k: u32) -> vec4<f32> {
    let row = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let last = min(row, vec4(params.vocabulary - 1u));
    let at = last * params.width + vec4(min(k, params.width - 1u));
    let numbers = vec4(head[at.x], head[at.y], head[at.z], head[at.w]);
    return select(vec4(0.0), numbers, (row < vec4(params.vocabulary)) & vec4(k < params.width));
}

// The logits of four rows from `own` on, and of the head's tile at `start`.
fn logits(own: u32, start: u32, local: vec2<u32>) -> Pairs {
    var sums = Pairs();
    for (var k0 = 0u; k0 < params.width; k0 += DEPTH) {
        for (var k = local.x; k < DEPTH; k += SIDE) {
            left[k * STRIDE + local.y] = hidden_column(own, k0 + k);
            right[k * STRIDE + local.y] = head_column(start + 4u * local.y, k0 + k);
        }
        workgroupBarrier();
        sums = products(sums, DEPTH, local);
        workgroupBarrier();
    }
    return sums;
}

// 1 for each number that is NaN or infinite.
fn non_finite_marks(numbers: vec4<f32>) -> vec4<f32> {
    let magnitude = bitcast<vec4<u32>>(numbers) & vec4(MAGNITUDE);
    return select(vec4(0.0), vec4(1.0), magnitude >= vec4(INFINITY));
}
