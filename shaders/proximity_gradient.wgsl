// Gradients of proximity-based soft aggregation, with respect to embeddings and values.
//
// With p_ij the softmax weight of row j for row i, g_i the gradient of row i's means b_i and u unit
// embeddings, a cosine's gradient is s_ij = p_ij (g_i · v_j − g_i · b_i) / τ, and
//
//     to u_i = Σ_j (s_ij + s_ji) u_j        to v_i = Σ_j p_ji g_j
//
// and to e_i what of the former is across u_i, divided by the length. Both sums run over the rows that
// row i exchanges with, in both directions: each tile of pairs is made once more from the row's
// facts, a workgroup owns the rows it writes, and neither atomics nor a matrix of pairs are needed.
//
// Template   side: invocations along each side of a workgroup; a tile has 4 · side rows. 8 keeps
//            within the workgroup memory of every WebGPU device (10 KiB), 16 takes 28 KiB.
// Shapes     spans, windows and `first`: see proximity.wgsl; facts: see proximity_gradient_rows.wgsl.
// Results    to_embeddings [rows, width], to_values [rows, columns]. A row with nobody to look at
//            passes its gradient to its own values. NaN for a row whose facts, or those of a row
//            it exchanges with, are marked (factor −1).
// Limits     core WebGPU: 256 invocations, 7 storage buffers. Tiles are folded into x and y of the
//            grid. Each invocation adds up in the results, where no other invocation looks.

struct Params {
    rows: u32,
    width: u32,
    columns: u32,
    inverse_temperature: f32,
    // The bits of a NaN: WGSL has no way to write one.
    not_a_number: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read_write> embeddings: array<f32>;    // [rows, width]
@group(0) @binding(1) var<storage, read_write> values: array<f32>;        // [rows, columns]
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;      // [rows, columns]
@group(0) @binding(3) var<storage, read_write> facts: array<f32>;         // [rows, 5]
@group(0) @binding(4) var<storage, read_write> spans: array<vec4<u32>>;   // [rows]
@group(0) @binding(5) var<storage, read_write> to_embeddings: array<f32>; // [rows, width]
@group(0) @binding(6) var<storage, read_write> to_values: array<f32>;     // [rows, columns]
@group(0) @binding(7) var<uniform> params: Params;

const SIDE: u32 = {{ side }}u;
const TILE: u32 = 4u * SIDE;
const DEPTH: u32 = 16u;        // columns staged at once
const STRIDE: u32 = SIDE + 1u; // one more than needed, against bank conflicts
const LEAST_NORMAL: f32 = 1.17549435e-38;

var<workgroup> left: array<vec4<f32>, {{ slots }}>;  // [DEPTH][STRIDE]
var<workgroup> right: array<vec4<f32>, {{ slots }}>;
var<workgroup> pairs: array<vec4<f32>, {{ pairs }}>; // [TILE][STRIDE], a number of each pair
var<workgroup> others: array<Facts, {{ side }}>;
var<workgroup> range: vec2<u32>;

// Four rows from `first` on: their places and facts. A row past the end counts as zeros and is read
// from the last one's place.
struct Facts {
    place: vec4<u32>,
    power: vec4<f32>,
    factor: vec4<f32>,
    nearest: vec4<f32>,
    inverse: vec4<f32>,
    expected: vec4<f32>,
}

// One fact of four rows.
fn fact(at: vec4<u32>, number: u32) -> vec4<f32> {
    let place = at * 5u + vec4(number);
    return vec4(facts[place.x], facts[place.y], facts[place.z], facts[place.w]);
}

fn facts_of(first: u32) -> Facts {
    let row = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let at = min(row, vec4(params.rows - 1u));
    let inside = row < vec4(params.rows);
    let none = vec4(0.0);
    return Facts(
        at + vec4(params.first),
        fact(at, 0u),
        select(none, fact(at, 1u), inside),
        fact(at, 2u),
        select(none, fact(at, 3u), inside),
        fact(at, 4u),
    );
}

// Where four rows look.
struct Reach {
    begin: vec4<u32>,
    end: vec4<u32>,
    hole_begin: vec4<u32>,
    hole_end: vec4<u32>,
}

fn reach_of(first: u32) -> Reach {
    var reach = Reach(vec4(0u), vec4(0u), vec4(0u), vec4(0u));
    for (var r = 0u; r < 4u; r++) {
        if (first + r < params.rows) {
            let span = spans[first + r];
            reach.begin[r] = span.x;
            reach.end[r] = span.y;
            reach.hole_begin[r] = span.z;
            reach.hole_end[r] = span.w;
        }
    }
    return reach;
}

// Which of four rows look at row j. Row j then looks at them too.
fn looks(reach: Reach, j: u32) -> vec4<bool> {
    let other = vec4(j);
    let outside = (other < reach.hole_begin) | (other >= reach.hole_end);
    return (other >= reach.begin) & (other < reach.end) & outside;
}

// Numbers of embeddings as the facts of their rows say: 0 in an unsound row.
fn scaled(numbers: vec4<f32>, power: vec4<f32>, factor: vec4<f32>) -> vec4<f32> {
    let sound = (factor > vec4(0.0)) & (abs(numbers) >= vec4(LEAST_NORMAL));
    return select(vec4(0.0), numbers * power * factor, sound);
}

// Column k of the unit embeddings of four rows.
fn unit(those: Facts, k: u32) -> vec4<f32> {
    let at = those.place * params.width + vec4(min(k, params.width - 1u));
    let numbers = vec4(embeddings[at.x], embeddings[at.y], embeddings[at.z], embeddings[at.w]);
    return select(vec4(0.0), scaled(numbers, those.power, those.factor), vec4(k < params.width));
}

// Column c of the values of four rows; unsound ones count as zeros.
fn value(those: Facts, c: u32) -> vec4<f32> {
    let at = those.place * params.columns + vec4(min(c, params.columns - 1u));
    let numbers = vec4(values[at.x], values[at.y], values[at.z], values[at.w]);
    let sound = (those.factor >= vec4(0.0)) & vec4(c < params.columns);
    return select(vec4(0.0), numbers, sound);
}

// Column c of the gradients of four rows; unsound ones count as zeros.
fn slope(those: Facts, c: u32) -> vec4<f32> {
    let at = those.place * params.columns + vec4(min(c, params.columns - 1u));
    let numbers = vec4(gradient[at.x], gradient[at.y], gradient[at.z], gradient[at.w]);
    let sound = (those.factor >= vec4(0.0)) & vec4(c < params.columns);
    return select(vec4(0.0), numbers, sound);
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
    let unit = scaled(numbers, vec4(facts[5u * at]), vec4(facts[5u * at + 1u]));
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
    let sound = (column < vec4(params.columns)) & vec4(facts[5u * at + 1u] >= 0.0);
    return select(vec4(0.0), numbers, sound);
}

// A number of each pair of 4 own rows (components) and 4 other rows (columns).
alias Pairs = mat4x4<f32>;

// Adds the products of what is staged.
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

fn stage_pairs(numbers: Pairs, local: vec2<u32>) {
    workgroupBarrier();
    for (var c = 0u; c < 4u; c++) {
        pairs[(4u * local.x + c) * STRIDE + local.y] = numbers[c];
    }
    workgroupBarrier();
}

// Four own rows times four columns: the sum over the tile's other rows of the staged pairs times
// what is in `right`, of which there are DEPTH rows at a time.
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

// Adds a number of each of a row's invocations up; all of them get the sum.
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
    let facts_own = facts_of(own);
    let reach = reach_of(own);
    let inverse = params.inverse_temperature;
    let lonely = (facts_own.inverse == vec4(0.0)) & (facts_own.factor >= vec4(0.0));
    var unsound = select(vec4(0.0), vec4(1.0), facts_own.factor < vec4(0.0));
    var along = vec4(0.0);

    for (var start = all.x; start < all.y; start += TILE) {
        let facts_staged = facts_of(start + 4u * local.y);
        workgroupBarrier();
        if (local.x == 0u) {
            others[local.y] = facts_staged;
        }
        var cosines = Pairs();
        for (var k0 = 0u; k0 < params.width; k0 += DEPTH) {
            for (var k = local.x; k < DEPTH; k += SIDE) {
                left[k * STRIDE + local.y] = unit(facts_own, k0 + k);
                right[k * STRIDE + local.y] = unit(facts_staged, k0 + k);
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
                left[c * STRIDE + local.y] = slope(facts_own, c0 + c);
                right[c * STRIDE + local.y] = value(facts_staged, c0 + c);
            }
            workgroupBarrier();
            there = products(there, depth, local);
            workgroupBarrier();
            for (var c = local.x; c < DEPTH; c += SIDE) {
                left[c * STRIDE + local.y] = value(facts_own, c0 + c);
                right[c * STRIDE + local.y] = slope(facts_staged, c0 + c);
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
            let look = looks(reach, j + c);
            let cosine = cosines[c];
            let p = exp(min(cosine - facts_own.nearest, none) * inverse) * facts_own.inverse;
            let q = exp(min(cosine - those.nearest[c], none) * inverse) * those.inverse[c];
            let pull = p * (there[c] - facts_own.expected) + q * (back[c] - those.expected[c]);
            pulls[c] = select(none, pull * inverse, look);
            weights[c] = select(none, q, look);
            along += pulls[c] * cosine;
            let itself = vec4(j + c) == vec4(own, own + 1u, own + 2u, own + 3u);
            weights[c] += select(none, vec4(1.0), itself & lonely);
            unsound += select(none, vec4(1.0), look & vec4(those.factor[c] < 0.0));
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

    // Only what turns an embedding changes a cosine.
    along = gathered(along, local);
    unsound = gathered(unsound, local);
    let not_a_number = bitcast<f32>(params.not_a_number);
    for (var r = 0u; r < 4u; r++) {
        let row = own + r;
        if (row >= params.rows) {
            break;
        }
        let place = params.first + row;
        let power = facts_own.power[r];
        let factor = facts_own.factor[r];
        for (var k0 = 4u * local.x; k0 < params.width; k0 += TILE) {
            let direction = unit_columns(row, k0);
            for (var q = 0u; q < min(4u, params.width - k0); q++) {
                let at = place * params.width + k0 + q;
                let across = (to_embeddings[at] - along[r] * direction[q]) * factor * power;
                to_embeddings[at] = select(across, not_a_number, unsound[r] > 0.0);
            }
        }
        for (var c0 = 4u * local.x; c0 < params.columns; c0 += TILE) {
            for (var c = c0; c < min(c0 + 4u, params.columns); c++) {
                let at = place * params.columns + c;
                if (unsound[r] > 0.0) {
                    to_values[at] = not_a_number;
                }
            }
        }
    }
}
