// Gradients of proximity-based soft aggregation, with respect to embeddings and values.
//
// With p_ij the softmax weight of row j for row i, g_i the gradient of row i's means b_i and u unit
// embeddings, a cosine's gradient is s_ij = p_ij (g_i · v_j − g_i · b_i) / τ, and
//
//     to u_i = Σ_j (s_ij + s_ji) u_j        to v_i = Σ_j p_ji g_j
//
// and to e_i the part of the former across u_i, divided by the length. Both sums run over the
// neighbours of row i, in both directions: each tile of pairs is computed again from the rows' terms, a
// workgroup owns the rows it writes, and neither atomics nor a matrix of pairs are needed.
//
// Template   side: invocations along each side of a workgroup; a tile has 4 · side rows. 8 keeps
//            within the workgroup memory of every WebGPU device (10 KiB), 16 takes 28 KiB.
// Shapes     spans: see proximity.wgsl; terms: see proximity_gradient_rows.wgsl. Windows and `first`:
//            see pairs.wgsl.
// Results    to_embeddings [rows, width], to_values [rows, columns]. A row without neighbours passes
//            its gradient to its own values. NaN for a row whose terms, or those of a neighbour, are
//            marked (factor −1).
// Limits     core WebGPU: 256 invocations, 7 storage buffers. Tiles are folded into x and y of the
//            grid. Each invocation adds up in the results, in places of its own.
// Includes   pairs.wgsl, tile.wgsl

@group(0) @binding(0) var<storage, read_write> embeddings: array<f32>;    // [rows, width]
@group(0) @binding(1) var<storage, read_write> values: array<f32>;        // [rows, columns]
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;      // [rows, columns]
@group(0) @binding(3) var<storage, read_write> terms: array<f32>;         // [rows, 5]
@group(0) @binding(4) var<storage, read_write> spans: array<vec4<u32>>;   // [rows]
@group(0) @binding(5) var<storage, read_write> to_embeddings: array<f32>; // [rows, width]
@group(0) @binding(6) var<storage, read_write> to_values: array<f32>;     // [rows, columns]
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> pairs: array<vec4<f32>, {{ pairs }}>; // [TILE][STRIDE], a number of each pair
var<workgroup> others: array<Terms, {{ side }}>;

// Four rows from `first` on: their places and terms. A row past the end counts as zeros and is read from
// the place of the last row.
struct Terms {
    place: vec4<u32>,
    power: vec4<f32>,
    factor: vec4<f32>,
    nearest: vec4<f32>,
    inverse: vec4<f32>,
    expected: vec4<f32>,
}

// One term of four rows.
fn term(at: vec4<u32>, number: u32) -> vec4<f32> {
    let place = at * 5u + vec4(number);
    return vec4(terms[place.x], terms[place.y], terms[place.z], terms[place.w]);
}

fn terms_of(first: u32) -> Terms {
    let row = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let at = min(row, vec4(params.rows - 1u));
    let inside = row < vec4(params.rows);
    let none = vec4(0.0);
    return Terms(
        at + vec4(params.first),
        term(at, 0u),
        select(none, term(at, 1u), inside),
        term(at, 2u),
        select(none, term(at, 3u), inside),
        term(at, 4u),
    );
}

// Column k of the unit embeddings of four rows.
fn unit(those: Terms, k: u32) -> vec4<f32> {
    let at = those.place * params.width + vec4(min(k, params.width - 1u));
    let numbers = vec4(embeddings[at.x], embeddings[at.y], embeddings[at.z], embeddings[at.w]);
    return select(vec4(0.0), scaled(numbers, those.power, those.factor), vec4(k < params.width));
}

// Column c of the values of four rows; zeros in non-finite rows.
fn value(those: Terms, c: u32) -> vec4<f32> {
    let at = those.place * params.columns + vec4(min(c, params.columns - 1u));
    let numbers = vec4(values[at.x], values[at.y], values[at.z], values[at.w]);
    let finite = (those.factor >= vec4(0.0)) & vec4(c < params.columns);
    return select(vec4(0.0), numbers, finite);
}

// Column c of the gradients of four rows; zeros in non-finite rows.
fn slope(those: Terms, c: u32) -> vec4<f32> {
    let at = those.place * params.columns + vec4(min(c, params.columns - 1u));
    let numbers = vec4(gradient[at.x], gradient[at.y], gradient[at.z], gradient[at.w]);
    let finite = (those.factor >= vec4(0.0)) & vec4(c < params.columns);
    return select(vec4(0.0), numbers, finite);
}

// Four columns from k on of a row's unit embedding.
fn unit_columns(row: u32, k: u32) -> vec4<f32> {
    let at = min(row, params.rows - 1u);
    let column = vec4(k) + vec4(0u, 1u, 2u, 3u);
    let place = vec4((params.first + at) * params.width) + min(column, vec4(params.width - 1u));
    let numbers = vec4(
        embeddings[place.x],
        embeddings[place.y],
        embeddings[place.z],
        embeddings[place.w],
    );
    let unit = scaled(numbers, vec4(terms[5u * at]), vec4(terms[5u * at + 1u]));
    return select(vec4(0.0), unit, column < vec4(params.width));
}

// Four columns from c on of a row's gradient.
fn slope_columns(row: u32, c: u32) -> vec4<f32> {
    let at = min(row, params.rows - 1u);
    let column = vec4(c) + vec4(0u, 1u, 2u, 3u);
    let place = vec4((params.first + at) * params.columns) + min(column, vec4(params.columns - 1u));
    let numbers = vec4(
        gradient[place.x],
        gradient[place.y],
        gradient[place.z],
        gradient[place.w],
    );
    let finite = (column < vec4(params.columns)) & vec4(terms[5u * at + 1u] >= 0.0);
    return select(vec4(0.0), numbers, finite);
}

fn stage_pairs(numbers: Pairs, local: vec2<u32>) {
    workgroupBarrier();
    for (var c = 0u; c < 4u; c++) {
        pairs[(4u * local.x + c) * STRIDE + local.y] = numbers[c];
    }
    workgroupBarrier();
}

// Four own rows times four columns: the sum over the tile's other rows of the staged pairs times
// the numbers in `right`, DEPTH rows at a time.
fn mixed(sums: Pairs, offset: u32, local: vec2<u32>) -> Pairs {
    var m0 = sums[0];
    var m1 = sums[1];
    var m2 = sums[2];
    var m3 = sums[3];
    for (var j = 0u; j < DEPTH; j++) {
        let w = pairs[(offset + j) * STRIDE + local.y];
        let x = right[j * STRIDE + local.x];
        m0 += w * x.x;
        m1 += w * x.y;
        m2 += w * x.z;
        m3 += w * x.w;
    }
    return Pairs(m0, m1, m2, m3);
}

// The pull of one other row at four own rows, in their cosines. `q` is the own rows' weight for the other
// row, `back` the other row's gradient times their values less its mean.
fn pull(own: Terms, cosine: vec4<f32>, there: vec4<f32>, q: vec4<f32>, back: vec4<f32>) -> vec4<f32> {
    let inverse = params.inverse_temperature;
    let p = exp(min(cosine - own.nearest, vec4(0.0)) * inverse) * own.inverse;
    return (p * (there - own.expected) + q * back) * inverse;
}

// The weight of four own rows for another row.
fn weight(cosine: vec4<f32>, nearest: f32, inverse: f32) -> vec4<f32> {
    return exp(min(cosine - vec4(nearest), vec4(0.0)) * params.inverse_temperature) * inverse;
}

// Adds to four columns of the gradient of a row's embedding, from column k on.
fn add_to_embedding(row: u32, k: u32, numbers: vec4<f32>, is_first: bool) {
    if (row >= params.rows) {
        return;
    }
    let at = (params.first + row) * params.width + k;
    if (k < params.width) {
        to_embeddings[at] = select(to_embeddings[at], 0.0, is_first) + numbers.x;
    }
    if (k + 1u < params.width) {
        to_embeddings[at + 1u] = select(to_embeddings[at + 1u], 0.0, is_first) + numbers.y;
    }
    if (k + 2u < params.width) {
        to_embeddings[at + 2u] = select(to_embeddings[at + 2u], 0.0, is_first) + numbers.z;
    }
    if (k + 3u < params.width) {
        to_embeddings[at + 3u] = select(to_embeddings[at + 3u], 0.0, is_first) + numbers.w;
    }
}

// Adds to four columns of the gradient of a row's values, from column c on.
fn add_to_values(row: u32, c: u32, numbers: vec4<f32>, is_first: bool) {
    if (row >= params.rows) {
        return;
    }
    let at = (params.first + row) * params.columns + c;
    if (c < params.columns) {
        to_values[at] = select(to_values[at], 0.0, is_first) + numbers.x;
    }
    if (c + 1u < params.columns) {
        to_values[at + 1u] = select(to_values[at + 1u], 0.0, is_first) + numbers.y;
    }
    if (c + 2u < params.columns) {
        to_values[at + 2u] = select(to_values[at + 2u], 0.0, is_first) + numbers.z;
    }
    if (c + 3u < params.columns) {
        to_values[at + 3u] = select(to_values[at + 3u], 0.0, is_first) + numbers.w;
    }
}

// Ends a row: keeps what is across its embedding, since only that changes a cosine, and marks a non-finite
// row. `scale` is the row's power and factor. Each invocation ends the columns that it has added to.
fn finish(row: u32, scale: vec2<f32>, along: f32, non_finite: bool, local: vec2<u32>) {
    let place = params.first + row;
    let not_a_number = bitcast<f32>(params.not_a_number);
    for (var k0 = 4u * local.x; k0 < params.width; k0 += TILE) {
        for (var k = k0; k < min(k0 + 4u, params.width); k++) {
            let at = place * params.width + k;
            let unit = scaled(vec4(embeddings[at]), vec4(scale.x), vec4(scale.y)).x;
            let across = (to_embeddings[at] - along * unit) * scale.y * scale.x;
            to_embeddings[at] = select(across, not_a_number, non_finite);
        }
    }
    if (!non_finite) {
        return;
    }
    for (var c0 = 4u * local.x; c0 < params.columns; c0 += TILE) {
        for (var c = c0; c < min(c0 + 4u, params.columns); c++) {
            to_values[place * params.columns + c] = not_a_number;
        }
    }
}

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
    let first = tile * TILE;
    if (local.x + local.y == 0u) {
        let last = min(first + TILE, params.rows) - 1u;
        range = vec2(spans[first].x, spans[last].y);
    }
    let all = workgroupUniformLoad(&range);

    let own = first + 4u * local.y;
    let own_terms = terms_of(own);
    let own_spans = spans_of(own);
    let isolated = (own_terms.inverse == vec4(0.0)) & (own_terms.factor >= vec4(0.0));
    var non_finite = select(vec4(0.0), vec4(1.0), own_terms.factor < vec4(0.0));
    var along = vec4(0.0);

    for (var start = all.x; start < all.y; start += TILE) {
        let staged_terms = terms_of(start + 4u * local.y);
        workgroupBarrier();
        if (local.x == 0u) {
            others[local.y] = staged_terms;
        }
        var cosines = Pairs();
        for (var k0 = 0u; k0 < params.width; k0 += DEPTH) {
            for (var k = local.x; k < DEPTH; k += SIDE) {
                left[k * STRIDE + local.y] = unit(own_terms, k0 + k);
                right[k * STRIDE + local.y] = unit(staged_terms, k0 + k);
            }
            workgroupBarrier();
            cosines = products(cosines, DEPTH, local);
            workgroupBarrier();
        }
        // g_i · v_j, and v_i · g_j.
        var there = Pairs();
        var back = Pairs();
        for (var c0 = 0u; c0 < params.columns; c0 += DEPTH) {
            let depth = min(DEPTH, params.columns - c0);
            for (var c = local.x; c < DEPTH; c += SIDE) {
                left[c * STRIDE + local.y] = slope(own_terms, c0 + c);
                right[c * STRIDE + local.y] = value(staged_terms, c0 + c);
            }
            workgroupBarrier();
            there = products(there, depth, local);
            workgroupBarrier();
            for (var c = local.x; c < DEPTH; c += SIDE) {
                left[c * STRIDE + local.y] = value(own_terms, c0 + c);
                right[c * STRIDE + local.y] = slope(staged_terms, c0 + c);
            }
            workgroupBarrier();
            back = products(back, depth, local);
            workgroupBarrier();
        }

        // A loop over the four would make Microsoft's older compiler, FXC, take minutes.
        let j = start + 4u * local.x;
        let those = others[local.x];
        let none = vec4(0.0);
        let n0 = have_neighbour(own_spans, j);
        let n1 = have_neighbour(own_spans, j + 1u);
        let n2 = have_neighbour(own_spans, j + 2u);
        let n3 = have_neighbour(own_spans, j + 3u);
        let q0 = weight(cosines[0], those.nearest.x, those.inverse.x);
        let q1 = weight(cosines[1], those.nearest.y, those.inverse.y);
        let q2 = weight(cosines[2], those.nearest.z, those.inverse.z);
        let q3 = weight(cosines[3], those.nearest.w, those.inverse.w);
        let p0 = pull(own_terms, cosines[0], there[0], q0, back[0] - those.expected.x);
        let p1 = pull(own_terms, cosines[1], there[1], q1, back[1] - those.expected.y);
        let p2 = pull(own_terms, cosines[2], there[2], q2, back[2] - those.expected.z);
        let p3 = pull(own_terms, cosines[3], there[3], q3, back[3] - those.expected.w);
        let pulls = Pairs(
            select(none, p0, n0),
            select(none, p1, n1),
            select(none, p2, n2),
            select(none, p3, n3),
        );
        along += pulls[0] * cosines[0];
        along += pulls[1] * cosines[1];
        along += pulls[2] * cosines[2];
        along += pulls[3] * cosines[3];
        let places = vec4(own, own + 1u, own + 2u, own + 3u);
        let weights = Pairs(
            select(none, q0, n0) + select(none, vec4(1.0), (vec4(j) == places) & isolated),
            select(none, q1, n1) + select(none, vec4(1.0), (vec4(j + 1u) == places) & isolated),
            select(none, q2, n2) + select(none, vec4(1.0), (vec4(j + 2u) == places) & isolated),
            select(none, q3, n3) + select(none, vec4(1.0), (vec4(j + 3u) == places) & isolated),
        );
        non_finite += select(none, vec4(1.0), n0 & vec4(those.factor.x < 0.0));
        non_finite += select(none, vec4(1.0), n1 & vec4(those.factor.y < 0.0));
        non_finite += select(none, vec4(1.0), n2 & vec4(those.factor.z < 0.0));
        non_finite += select(none, vec4(1.0), n3 & vec4(those.factor.w < 0.0));
        let is_first = start == all.x;

        // Pull at the embeddings.
        stage_pairs(pulls, local);
        for (var k0 = 0u; k0 < params.width; k0 += TILE) {
            let k = k0 + 4u * local.x;
            var sums = Pairs();
            for (var offset = 0u; offset < TILE; offset += DEPTH) {
                for (var r = local.y; r < DEPTH; r += SIDE) {
                    right[r * STRIDE + local.x] = unit_columns(start + offset + r, k);
                }
                workgroupBarrier();
                sums = mixed(sums, offset, local);
                workgroupBarrier();
            }
            let rows = transpose(sums);
            add_to_embedding(own, k, rows[0], is_first);
            add_to_embedding(own + 1u, k, rows[1], is_first);
            add_to_embedding(own + 2u, k, rows[2], is_first);
            add_to_embedding(own + 3u, k, rows[3], is_first);
        }

        // Hand the gradient to the values.
        stage_pairs(weights, local);
        for (var c0 = 0u; c0 < params.columns; c0 += TILE) {
            let c = c0 + 4u * local.x;
            var sums = Pairs();
            for (var offset = 0u; offset < TILE; offset += DEPTH) {
                for (var r = local.y; r < DEPTH; r += SIDE) {
                    right[r * STRIDE + local.x] = slope_columns(start + offset + r, c);
                }
                workgroupBarrier();
                sums = mixed(sums, offset, local);
                workgroupBarrier();
            }
            let rows = transpose(sums);
            add_to_values(own, c, rows[0], is_first);
            add_to_values(own + 1u, c, rows[1], is_first);
            add_to_values(own + 2u, c, rows[2], is_first);
            add_to_values(own + 3u, c, rows[3], is_first);
        }
    }

    along = gathered(along, local);
    non_finite = gathered(non_finite, local);
    let count = min(4u, params.rows - min(own, params.rows));
    for (var r = 0u; r < count; r++) {
        let scale = vec2(own_terms.power[r], own_terms.factor[r]);
        finish(own + r, scale, along[r], non_finite[r] > 0.0, local);
    }
}
