// The episode part of advantages: each episode's total reward against its group's, weighted by how
// rare its outcome is in the group.
//
//     A_i = w_i (R_i − mean) / (deviation + ε)        the division where `scaled`
//     w_i = 1 + β f    f = σ((1 − p)^α) − ½ for a success, σ(−p^α) − ½ for a failure
//
// with p the group's success rate, counted by episode or by step, after a prior of `won` and `lost`
// pseudo-episodes. β is 0 without modulation.
//
// Shapes     rewards [rows] and success [episodes] as bits; groups [groups + 1] offsets among the
//            episodes; episodes [episodes + 1] offsets among the rows.
// Results    advantages [rows], each row its episode's; statistics [groups, 3]: success rate, mean
//            and unbiased deviation of total rewards. totals [episodes] is scratch memory.
//            A group with a NaN or infinite number is NaN throughout. By step, a group of a
//            single row keeps its reward.
// Work       one dispatch, a workgroup a group. Grids are folded into x and y.
// Limits     core WebGPU: 64 invocations, under 1 KiB of workgroup memory, 7 storage buffers.
// Includes   bits.wgsl

struct Params {
    groups: u32,
    by_step: u32,
    scaled: u32,
    steepness: f32,
    factor: f32,
    won: f32,
    lost: f32,
    // The bits of a NaN: WGSL has no NaN literal.
    not_a_number: u32,
}

@group(0) @binding(0) var<storage, read_write> rewards: array<u32>;    // [rows], bits
@group(0) @binding(1) var<storage, read_write> success: array<u32>;    // [episodes], bits
@group(0) @binding(2) var<storage, read_write> group_offsets: array<u32>;
@group(0) @binding(3) var<storage, read_write> episode_offsets: array<u32>;
@group(0) @binding(4) var<storage, read_write> totals: array<f32>;     // [episodes]
@group(0) @binding(5) var<storage, read_write> advantages: array<f32>; // [rows]
@group(0) @binding(6) var<storage, read_write> statistics: array<f32>; // [groups, 3]
@group(0) @binding(7) var<uniform> params: Params;

const LANES: u32 = 64u;
const LEAST_NORMAL: f32 = 1.17549435e-38;
const EPSILON: f32 = 1e-6;

var<workgroup> shared_numbers: array<f32, 64>;

// The sum of every invocation's number; all of them get it.
fn summed(number: f32, lane: u32) -> f32 {
    workgroupBarrier();
    shared_numbers[lane] = number;
    workgroupBarrier();
    var sum = 0.0;
    for (var other = 0u; other < LANES; other++) {
        sum += shared_numbers[other];
    }
    return sum;
}

fn greatest(number: f32, lane: u32) -> f32 {
    workgroupBarrier();
    shared_numbers[lane] = number;
    workgroupBarrier();
    var most = number;
    for (var other = 0u; other < LANES; other++) {
        most = max(most, shared_numbers[other]);
    }
    return most;
}

fn logistic(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

// x^steepness for x from 0 to 1.
fn powered(x: f32) -> f32 {
    return select(0.0, pow(max(x, LEAST_NORMAL), params.steepness), x > 0.0);
}

fn weight(rate: f32, won: bool) -> f32 {
    let signal = select(-powered(rate), powered(1.0 - rate), won);
    return 1.0 + params.factor * (logistic(signal) - 0.5);
}

fn count_of(episode: u32) -> f32 {
    let rows = episode_offsets[episode + 1u] - episode_offsets[episode];
    return select(1.0, f32(rows), params.by_step != 0u);
}

fn has_won(episode: u32) -> bool {
    return bitcast<f32>(success[episode]) > 0.5;
}

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let group = workgroup.y * workgroups.x + workgroup.x;
    if (group >= params.groups) {
        return;
    }
    let lane = local.x;
    let begin = group_offsets[group];
    let end = group_offsets[group + 1u];

    // Totals, and how often they count.
    var weights = 0.0;
    var won = 0.0;
    var non_finite = 0.0;
    for (var episode = begin + lane; episode < end; episode += LANES) {
        var total = 0.0;
        for (var row = episode_offsets[episode]; row < episode_offsets[episode + 1u]; row++) {
            let bits = rewards[row];
            if (!is_finite(bits)) {
                non_finite = 1.0;
            } else {
                total += bitcast<f32>(bits);
            }
        }
        totals[episode] = total;
        let count = count_of(episode);
        weights += count;
        if (!is_finite(success[episode])) {
            non_finite = 1.0;
        } else if (has_won(episode)) {
            won += count;
        }
    }
    weights = summed(weights, lane);
    won = summed(won, lane);
    non_finite = summed(non_finite, lane);
    let counted = weights > 0.0;

    // Totals are measured from the total of the group's first episode, so that equal totals are exactly
    // equal to their mean in spite of rounding; a deviation of 0 would magnify any difference.
    var own = 0.0;
    if (lane == 0u && end > begin) {
        own = totals[begin];
    }
    let first = summed(own, lane);
    var beyond = 0.0;
    for (var episode = begin + lane; episode < end; episode += LANES) {
        beyond += count_of(episode) * (totals[episode] - first);
    }
    beyond = summed(beyond, lane);
    let above = select(0.0, beyond / max(weights, 1.0), counted);
    let mean = first + above;
    let raw = select(0.0, won / max(weights, 1.0), counted);
    let episodes = f32(end - begin);
    let believed = params.won + params.lost;
    let shrunk = (episodes * raw + params.won) / max(episodes + believed, LEAST_NORMAL);
    let rate = clamp(select(raw, shrunk, believed > 0.0), 0.0, 1.0);

    // The deviation, with the largest distance divided out first, so that no square overflows.
    var farthest = 0.0;
    for (var episode = begin + lane; episode < end; episode += LANES) {
        farthest = max(farthest, abs((totals[episode] - first) - above));
    }
    farthest = greatest(farthest, lane);
    let unit = select(1.0, farthest, farthest >= LEAST_NORMAL);
    var spread = 0.0;
    for (var episode = begin + lane; episode < end; episode += LANES) {
        let distance = ((totals[episode] - first) - above) / unit;
        spread += count_of(episode) * distance * distance;
    }
    spread = summed(spread, lane);
    let several = weights > 1.0;
    let deviation = select(0.0, sqrt(spread / max(weights - 1.0, 1.0)) * farthest, several);

    let not_a_number = bitcast<f32>(params.not_a_number);
    let single = params.by_step != 0u && weights == 1.0;
    let scale = select(1.0, deviation + EPSILON, params.scaled != 0u);
    for (var episode = begin + lane; episode < end; episode += LANES) {
        let total = totals[episode];
        var advantage = select(((total - first) - above) / scale, total, single);
        advantage *= weight(rate, has_won(episode));
        advantage = select(advantage, not_a_number, non_finite > 0.0);
        for (var row = episode_offsets[episode]; row < episode_offsets[episode + 1u]; row++) {
            advantages[row] = advantage;
        }
    }
    if (lane == 0u) {
        statistics[3u * group] = select(rate, not_a_number, non_finite > 0.0);
        statistics[3u * group + 1u] = select(mean, not_a_number, non_finite > 0.0);
        statistics[3u * group + 2u] = select(deviation, not_a_number, non_finite > 0.0);
    }
}
