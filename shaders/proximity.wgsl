// Proximity-based soft aggregation, forward: for each row i over its neighbours j,
//
//     mean_i = Σ_j w_ij v_j / Σ_j w_ij        w_ij = exp(cos(e_i, e_j) / τ)
//
// with an online softmax over tiles: no matrix of pairs exists. Each invocation compares 4 of its
// workgroup's rows with 4 of every tile's and keeps sums of its own, which are added up at the end.
//
// Template   side: invocations along each side of a workgroup (8 or 16; a tile has 4 · side rows).
//            chunk: columns of values a workgroup handles; more are spread over workgroups in z.
// Shapes     spans: one a row, (begin, end, hole begin, hole end), the row's neighbours. Rows are sorted
//            by group. scales: see proximity_rows.wgsl. Windows and `first`: see pairs.wgsl.
// Results    means [rows, columns]; neighbours [rows], (Σ w)² / Σ w²; state [rows, 2], the cosine of
//            the nearest row and 1 / Σ w relative to it.
//            A row without neighbours: its own values, 0 neighbours, state (0, 0). A row that is
//            non-finite or has such a neighbour (scales −1): NaN, and state (0, −1).
// Limits     core WebGPU: 256 invocations, 11 KiB of workgroup memory with side 16, 7 storage
//            buffers. Tiles are folded into x and y of the grid. Workgroup memory is read only after
//            it was written, and no index leaves its buffer.
// Includes   pairs.wgsl, tile.wgsl

@group(0) @binding(0) var<storage, read_write> embeddings: array<f32>; // [rows, width]
@group(0) @binding(1) var<storage, read_write> values: array<f32>;     // [rows, columns]
@group(0) @binding(2) var<storage, read_write> scales: array<f32>;     // [rows, 2]
@group(0) @binding(3) var<storage, read_write> spans: array<vec4<u32>>; // [rows]
@group(0) @binding(4) var<storage, read_write> means: array<f32>;      // [rows, columns]
@group(0) @binding(5) var<storage, read_write> neighbours: array<f32>; // [rows]
@group(0) @binding(6) var<storage, read_write> state: array<f32>;      // [rows, 2]
@group(0) @binding(7) var<uniform> params: Params;

const CHUNK: u32 = {{ chunk }}u;
const FARTHEST: f32 = -2.0; // below every cosine

var<workgroup> weighed: array<vec4<f32>, {{ weighed }}>; // [CHUNK][SIDE], values of 4 rows each
var<workgroup> marks: array<vec4<f32>, {{ side }}>;  // scale factors of 4 rows each

// Four rows from `first` on: their offsets and scale factors. A row past the end counts as zeros and is
// read from the place of the last row.
struct Rows {
    offset: vec4<u32>,
    power: vec4<f32>,
    factor: vec4<f32>,
}

fn rows_from(first: u32) -> Rows {
    let row = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let at = min(row, vec4(params.rows - 1u));
    let power = vec4(scales[2u * at.x], scales[2u * at.y], scales[2u * at.z], scales[2u * at.w]);
    let factor = vec4(
        scales[2u * at.x + 1u],
        scales[2u * at.y + 1u],
        scales[2u * at.z + 1u],
        scales[2u * at.w + 1u],
    );
    let inside = row < vec4(params.rows);
    return Rows((at + params.first) * params.width, power, select(vec4(0.0), factor, inside));
}

// Column k of the unit embeddings of four rows.
fn unit(rows: Rows, k: u32) -> vec4<f32> {
    let at = rows.offset + vec4(min(k, params.width - 1u));
    let numbers = vec4(embeddings[at.x], embeddings[at.y], embeddings[at.z], embeddings[at.w]);
    return select(vec4(0.0), scaled(numbers, rows.power, rows.factor), vec4(k < params.width));
}

// One column of values of four rows; zeros in non-finite rows.
fn values_of(first: u32, column: u32) -> vec4<f32> {
    let row = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let last = min(row, vec4(params.rows - 1u));
    let at = (last + params.first) * params.columns + vec4(min(column, params.columns - 1u));
    let numbers = vec4(values[at.x], values[at.y], values[at.z], values[at.w]);
    let factor = vec4(
        scales[2u * last.x + 1u],
        scales[2u * last.y + 1u],
        scales[2u * last.z + 1u],
        scales[2u * last.w + 1u],
    );
    return select(vec4(0.0), numbers, (factor >= vec4(0.0)) & vec4(column < params.columns));
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
    let others = workgroupUniformLoad(&range);

    // This invocation's four rows.
    let own = first + 4u * local.y;
    let own_rows = rows_from(own);
    let own_spans = spans_of(own);
    let first_column = group.z * CHUNK;
    let inverse = params.inverse_temperature;

    var nearest = vec4(FARTHEST);
    var total = vec4(0.0);
    var squares = vec4(0.0);
    var non_finite = select(vec4(0.0), vec4(1.0), own_rows.factor < vec4(0.0));
    var sums: array<vec4<f32>, {{ chunk }}>;
    for (var c = 0u; c < CHUNK; c++) {
        sums[c] = vec4(0.0);
    }

    for (var start = others.x; start < others.y; start += TILE) {
        // Stage the scale factors and values of the tile's other rows.
        let staged_rows = rows_from(start + 4u * local.y);
        workgroupBarrier();
        if (local.x == 0u) {
            marks[local.y] = staged_rows.factor;
        }
        for (var slot = local.y * SIDE + local.x; slot < CHUNK * SIDE; slot += SIDE * SIDE) {
            weighed[slot] = values_of(start + 4u * (slot % SIDE), first_column + slot / SIDE);
        }

        // Cosines of the four own rows to four of the tile's.
        var cosines = Pairs();
        for (var k0 = 0u; k0 < params.width; k0 += DEPTH) {
            for (var k = local.x; k < DEPTH; k += SIDE) {
                left[k * STRIDE + local.y] = unit(own_rows, k0 + k);
                right[k * STRIDE + local.y] = unit(staged_rows, k0 + k);
            }
            workgroupBarrier();
            cosines = products(cosines, DEPTH, local);
            workgroupBarrier();
        }

        // Weights relative to the nearest row so far; earlier sums shrink when a nearer row is found.
        let j = start + 4u * local.x;
        let l0 = have_neighbour(own_spans, j);
        let l1 = have_neighbour(own_spans, j + 1u);
        let l2 = have_neighbour(own_spans, j + 2u);
        let l3 = have_neighbour(own_spans, j + 3u);
        let farthest = vec4(FARTHEST);
        let s0 = select(farthest, cosines[0], l0);
        let s1 = select(farthest, cosines[1], l1);
        let s2 = select(farthest, cosines[2], l2);
        let s3 = select(farthest, cosines[3], l3);
        let before = nearest;
        nearest = max(max(max(s0, s1), max(s2, s3)), nearest);
        let shrink = exp((before - nearest) * inverse);
        let none = vec4(0.0);
        let w0 = select(none, exp((s0 - nearest) * inverse), l0);
        let w1 = select(none, exp((s1 - nearest) * inverse), l1);
        let w2 = select(none, exp((s2 - nearest) * inverse), l2);
        let w3 = select(none, exp((s3 - nearest) * inverse), l3);
        total = total * shrink + ((w0 + w1) + (w2 + w3));
        squares = squares * shrink * shrink + ((w0 * w0 + w1 * w1) + (w2 * w2 + w3 * w3));
        for (var c = 0u; c < CHUNK; c++) {
            let v = weighed[c * SIDE + local.x];
            sums[c] = sums[c] * shrink + ((w0 * v.x + w1 * v.y) + (w2 * v.z + w3 * v.w));
        }
        let mark = marks[local.x];
        non_finite += select(none, vec4(1.0), l0 & vec4(mark.x < 0.0));
        non_finite += select(none, vec4(1.0), l1 & vec4(mark.y < 0.0));
        non_finite += select(none, vec4(1.0), l2 & vec4(mark.z < 0.0));
        non_finite += select(none, vec4(1.0), l3 & vec4(mark.w < 0.0));
    }

    // Add up the sums of each row, relative to the nearest of all its neighbours.
    workgroupBarrier();
    left[local.y * STRIDE + local.x] = nearest;
    workgroupBarrier();
    var top = nearest;
    for (var t = 0u; t < SIDE; t++) {
        top = max(top, left[local.y * STRIDE + t]);
    }
    let shrink = exp((nearest - top) * inverse);
    total = gathered(total * shrink, local);
    squares = gathered(squares * shrink * shrink, local);
    non_finite = gathered(non_finite, local);
    for (var c = 0u; c < CHUNK; c++) {
        sums[c] = gathered(sums[c] * shrink, local);
    }
    if (local.x != 0u) {
        return;
    }
    let not_a_number = bitcast<f32>(params.not_a_number);
    for (var r = 0u; r < 4u; r++) {
        let row = own + r;
        if (row >= params.rows) {
            break;
        }
        let place = params.first + row;
        for (var c = 0u; c < CHUNK && first_column + c < params.columns; c++) {
            let at = place * params.columns + first_column + c;
            if (non_finite[r] > 0.0) {
                means[at] = not_a_number;
            } else if (total[r] > 0.0) {
                means[at] = sums[c][r] / total[r];
            } else {
                means[at] = values[at];
            }
        }
        if (first_column == 0u) {
            if (non_finite[r] > 0.0) {
                neighbours[place] = not_a_number;
                state[2u * place] = 0.0;
                state[2u * place + 1u] = -1.0;
            } else if (total[r] > 0.0) {
                neighbours[place] = total[r] * total[r] / squares[r];
                state[2u * place] = top[r];
                state[2u * place + 1u] = 1.0 / total[r];
            } else {
                neighbours[place] = 0.0;
                state[2u * place] = 0.0;
                state[2u * place + 1u] = 0.0;
            }
        }
    }
}
