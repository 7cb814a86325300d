// Discounted returns of every row, G_t = r_t + γ · G_{t+1}, from each episode's end.
//
// Shapes     rewards [rows] as bits; offsets [episodes + 1] of the episodes among the rows.
// Result     returns [rows]. From a NaN or infinite reward back to the beginning of its episode,
//            returns are NaN.
// Work       one pass, an invocation an episode, 64 a workgroup. Grids are folded into x and y.
// Limits     core WebGPU: 64 invocations, no workgroup memory, 3 storage buffers.
// Includes   bits.wgsl

struct Params {
    episodes: u32,
    gamma: f32,
    // The bits of a NaN: WGSL has no NaN literal.
    not_a_number: u32,
}

@group(0) @binding(0) var<storage, read_write> rewards: array<u32>; // [rows], bits
@group(0) @binding(1) var<storage, read_write> offsets: array<u32>; // [episodes + 1]
@group(0) @binding(2) var<storage, read_write> returns: array<f32>; // [rows]
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let episode = (group.y * groups.x + group.x) * 64u + local.x;
    if (episode >= params.episodes) {
        return;
    }
    let first = offsets[episode];
    var following = 0.0;
    var finite = true;
    for (var row = offsets[episode + 1u]; row > first; row--) {
        let bits = rewards[row - 1u];
        finite = finite && is_finite(bits);
        following = bitcast<f32>(bits) + params.gamma * following;
        returns[row - 1u] = select(bitcast<f32>(params.not_a_number), following, finite);
    }
}
