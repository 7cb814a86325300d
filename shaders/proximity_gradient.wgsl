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
    let inverse = params.inverse_temperature;
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

        let j = start + 4u * local.x;
        let those = others[local.x];
        let none = vec4(0.0);
        var pulls = Pairs();
        var weights = Pairs();
        for (var c = 0u; c < 4u; c++) {
            let near = have_neighbour(own_spans, j + c);
            let cosine = cosines[c];
            let p = exp(min(cosine - own_terms.nearest, none) * inverse) * own_terms.inverse;
            let q = exp(min(cosine - those.nearest[c], none) * inverse) * those.inverse[c];
            let pull = p * (there[c] - own_terms.expected) + q * (back[c] - those.expected[c]);
            pulls[c] = select(none, pull * inverse, near);
            weights[c] = select(none, q, near);
            along += pulls[c] * cosine;
            let itself = vec4(j + c) == vec4(own, own + 1u, own + 2u, own + 3u);
            weights[c] += select(none, vec4(1.0), itself & isolated);
            non_finite += select(none, vec4(1.0), near & vec4(those.factor[c] < 0.0));
        }

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
            for (var q = 0u; q < 4u; q++) {
                for (var r = 0u; r < 4u; r++) {
                    if (own + r < params.rows && k + q < params.width) {
                        let at = (params.first + own + r) * params.width + k + q;
                        let before = select(to_embeddings[at], 0.0, start == all.x);
                        to_embeddings[at] = before + sums[q][r];
                    }
                }
            }
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
            for (var q = 0u; q < 4u; q++) {
                for (var r = 0u; r < 4u; r++) {
                    if (own + r < params.rows && c + q < params.columns) {
                        let at = (params.first + own + r) * params.columns + c + q;
                        let before = select(to_values[at], 0.0, start == all.x);
                        to_values[at] = before + sums[q][r];
                    }
                }
            }
        }
    }

    // Only a change across an embedding changes a cosine.
    along = gathered(along, local);
    non_finite = gathered(non_finite, local);
    let not_a_number = bitcast<f32>(params.not_a_number);
    for (var r = 0u; r < 4u; r++) {
        let row = own + r;
        if (row >= params.rows) {
            break;
        }
        let place = params.first + row;
        let power = own_terms.power[r];
        let factor = own_terms.factor[r];
        for (var k0 = 4u * local.x; k0 < params.width; k0 += TILE) {
            let direction = unit_columns(row, k0);
            for (var q = 0u; q < min(4u, params.width - k0); q++) {
                let at = place * params.width + k0 + q;
                let across = (to_embeddings[at] - along[r] * direction[q]) * factor * power;
                to_embeddings[at] = select(across, not_a_number, non_finite[r] > 0.0);
            }
        }
        for (var c0 = 4u * local.x; c0 < params.columns; c0 += TILE) {
            for (var c = c0; c < min(c0 + 4u, params.columns); c++) {
                let at = place * params.columns + c;
                if (non_finite[r] > 0.0) {
                    to_values[at] = not_a_number;
                }
            }
        }
    }
}
