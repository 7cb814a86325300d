// Included by proximity.wgsl and proximity_gradient.wgsl, with tile.wgsl: pairs of rows of a group.
//
// A workgroup walks over the tiles of its rows' groups. A launch takes a window of whole groups: its
// rows count from 0, spans and the numbers kept of each row hold the window alone, and in all other
// buffers the window begins at row `first`.

struct Params {
    rows: u32,
    width: u32,
    columns: u32,
    inverse_temperature: f32,
    // The bits of a NaN: WGSL has no NaN literal.
    not_a_number: u32,
    first: u32,
}

const LEAST_NORMAL: f32 = 1.17549435e-38;

var<workgroup> range: vec2<u32>;

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
