// Included by proximity.wgsl and proximity_gradient.wgsl: tiles of pairs of rows.
//
// A workgroup owns a tile of 4 · SIDE rows and walks over the tiles of their groups. Each invocation
// holds the pairs of 4 own rows and 4 other rows. A launch takes a window of whole groups: its rows
// count from 0, spans and the numbers kept of each row hold the window alone, and in all other buffers
// the window begins at row `first`.

struct Params {
    rows: u32,
    width: u32,
    columns: u32,
    inverse_temperature: f32,
    // The bits of a NaN: WGSL has no NaN literal.
    not_a_number: u32,
    first: u32,
}

const SIDE: u32 = {{ side }}u;
const TILE: u32 = 4u * SIDE;
const DEPTH: u32 = 16u;        // columns staged at once
const STRIDE: u32 = SIDE + 1u; // one more than needed, against bank conflicts
const LEAST_NORMAL: f32 = 1.17549435e-38;

var<workgroup> left: array<vec4<f32>, {{ slots }}>;  // [DEPTH][STRIDE], a column of 4 own rows each
var<workgroup> right: array<vec4<f32>, {{ slots }}>; // the same of 4 other rows
var<workgroup> range: vec2<u32>;

// A number of each pair of 4 own rows (components) and 4 other rows (columns).
alias Pairs = mat4x4<f32>;

// The neighbours of four rows: from `begin` to `end`, without those from `hole_begin` to `hole_end`.
struct Spans {
    begin: vec4<u32>,
    end: vec4<u32>,
    hole_begin: vec4<u32>,
    hole_end: vec4<u32>,
}

fn spans_of(first: u32) -> Spans {
    var four = Spans(vec4(0u), vec4(0u), vec4(0u), vec4(0u));
    for (var r = 0u; r < 4u; r++) {
        if (first + r < params.rows) {
            let span = spans[first + r];
            four.begin[r] = span.x;
            four.end[r] = span.y;
            four.hole_begin[r] = span.z;
            four.hole_end[r] = span.w;
        }
    }
    return four;
}

// Which of four rows have row j as a neighbour. The relation is symmetric.
fn have_neighbour(four: Spans, j: u32) -> vec4<bool> {
    let other = vec4(j);
    let outside = (other < four.hole_begin) | (other >= four.hole_end);
    return (other >= four.begin) & (other < four.end) & outside;
}

// Numbers of embeddings scaled to unit length by the factors of their rows (proximity_rows.wgsl); 0 in
// a non-finite row.
fn scaled(numbers: vec4<f32>, power: vec4<f32>, factor: vec4<f32>) -> vec4<f32> {
    let finite = (factor > vec4(0.0)) & (abs(numbers) >= vec4(LEAST_NORMAL));
    return select(vec4(0.0), numbers * power * factor, finite);
}

// Adds the products of `depth` staged columns.
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

// The sum of a number over the invocations that share four own rows; all of them get it.
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
