// From choices to points: records, layouts, commands. Nothing here knows of a document.
// The physics stands before this file, translated from Python; `data` holds the catalogue.

const { Model, Device, Engine, WeightFormat, KVFormat, Economics, Deployment } = physics;
const { evaluate, fewest_devices, prepare } = physics;
const RECORDS = { model: Model, device: Device, weight_format: WeightFormat, kv_format: KVFormat, economics: Economics };
const SERIES = ["device", "model", "weight_format", "tp"]; // in the order of labels
const MOST_SERIES = 24;
const AUTO = "auto", NATIVE = "native";
const known = new Map();

function recordOf(kind, name) {
  const key = `${kind} ${name}`;
  if (!known.has(key)) known.set(key, new RECORDS[kind](...data.catalogue[kind][name].record));
  return known.get(key);
}

function formatOf(model, name) {
  const own = (data.catalogue.model[model].formats || {})[name];
  return own ? new WeightFormat(...own) : recordOf("weight_format", name);
}

function engineOf(engine, device, kernel) {
  const use = data.catalogue.engine[engine].uses[device];
  return new Engine(...data.catalogue.constants[Array.isArray(use) ? use[kernel] : use]);
}

// A record with some fields scaled, as by `--set record.field={scale=...}`.
function scaled(kind, record, scales) {
  const changed = data.scales.filter((one) => one.record === kind && scales[one.name] !== 1);
  if (!changed.length) return record;
  const Kind = RECORDS[kind];
  return new Kind(...Kind.fields.map((field) => {
    const one = changed.find((each) => each.field === field);
    return one ? scales[one.name] * record[field] : record[field];
  }));
}

// The combinations that are shown, and how many there would be.
function seriesOf(state) {
  let found = [{}];
  for (const name of SERIES) {
    found = found.flatMap((one) => state[name].map((value) => ({ ...one, [name]: value })));
  }
  return { shown: found.slice(0, MOST_SERIES), all: found.length };
}

const codeOf = (axis, value) => data.axes[axis].choices.indexOf(value);

// Everything of a series that does not depend on the batch, with its layout at the state's batch.
function resolve(state, one) {
  const entry = data.catalogue.model[one.model];
  const format = one.weight_format === NATIVE ? entry.native : one.weight_format;
  const made = { ...one, tpGiven: one.tp, format, fault: "" };
  if (!format) {
    made.fault = "is published in a format that the catalogue lacks; choose one";
    return made;
  }
  made.records = {
    model: recordOf("model", one.model),
    device: scaled("device", recordOf("device", one.device), state),
    weight_format: formatOf(one.model, format),
    kv_format: recordOf("kv_format", state.kv_format),
    economics: scaled("economics", recordOf("economics", state.economics), state),
  };
  made.records.engine = engineOf(state.engine, one.device, made.records.weight_format.kernel);
  layOut(state, made);
  for (const scale of data.scales) {
    const value = made.records[scale.record][scale.field];
    if (value < scale.low || value > scale.high) made.fault = `${scale.field} is out of its limits`;
  }
  if (state.draft_len > 0 && state.acceptance === 0) made.fault = "all drafts are rejected";
  if (made.records.device.board_power < made.records.device.idle_power) {
    made.fault = "the power limit is below the power when idle";
  }
  return made;
}

// Choose the layout of a series: as given, or the fewest devices that hold it, as `point` does.
function layOut(state, made) {
  const chooses = data.catalogue.device[made.device].neighbours && state.offload === "none";
  const auto = made.tpGiven === AUTO;
  made.tp = auto ? 1 : made.tpGiven;
  made.pp = auto ? 1 : state.pp;
  if (auto && chooses) {
    const r = made.records;
    const { tp, pp } = fewest_devices(
      r.model, r.device, r.engine, r.weight_format, r.kv_format,
      deploymentOf(state, made, state.batch), state.input_len + state.output_len
    );
    Object.assign(made, { tp, pp });
  }
  made.devices = made.tp * made.pp * state.dp;
}

function deploymentOf(state, made, batch) {
  const value = {
    ...state, tp: made.tp, pp: made.pp, batch,
    scheduler: codeOf("scheduler", state.scheduler), offload: codeOf("offload", state.offload),
  };
  return new Deployment(...Deployment.fields.map((field) => value[field] ?? data.deployment[field]));
}

// Memory of a device that the engine gives to weights and KV cache. [bytes]
function usableBytes(state, made) {
  const r = made.records;
  return prepare(
    r.model, r.device, r.engine, r.weight_format, r.kv_format,
    deploymentOf(state, made, state.batch), r.economics
  ).usable_bytes;
}

// The metrics of a series at a batch, and why it does not run; empty if it does.
function pointOf(state, made, batch) {
  if (made.fault) return { point: null, fault: made.fault };
  const r = made.records;
  const point = evaluate(
    r.model, r.device, r.engine, r.weight_format, r.kv_format, deploymentOf(state, made, batch),
    r.economics, state.input_len, state.output_len
  );
  if (point.status !== 0) return { point, fault: data.statuses[point.status] };
  if (!Number.isFinite(point.tpot_s) || !Number.isFinite(point.ttft_s)) {
    return { point: null, fault: "no result with these values" };
  }
  return { point, fault: "" };
}

function quoted(word) {
  const text = String(word);
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\"'\"'")}'`;
}

// How a command names an entry; empty if it is unknown here or has no name outside of its sweep.
function wordOf(kind, name) {
  const entry = data.catalogue[kind][name];
  if (!entry) return "";
  return entry.word === undefined ? name : entry.word;
}

// A command from values of axes by name and what-ifs as texts; empty if an entry has no name.
function commandOf(values, sets) {
  const words = ["perfcore", "point"];
  for (const [name, axis] of Object.entries(data.axes)) {
    const value = values[name];
    const word = axis.entries ? wordOf(name, value) : value;
    if (word === "") return "";
    if (name === "model" || name === "device") words.push(quoted(word));
    else if (data.told.includes(name) || String(value) !== String(axis.default)) {
      words.push(`--${name.replaceAll("_", "-")}`, quoted(word));
    }
  }
  for (const set of sets) words.push("--set", quoted(set));
  return words.join(" ");
}

function commandAt(state, made, batch) {
  if (!made.records) return "";
  const values = { ...state, model: made.model, device: made.device, weight_format: made.format,
    tp: made.tp, pp: made.pp, batch };
  if (!state.draft_len) values.acceptance = data.axes.acceptance.default;
  const sets = data.scales
    .filter((one) => state[one.name] !== 1 && recordOf(one.record, values[one.record])[one.field] !== 0)
    .map((one) => `${one.record}.${one.field}={scale=${state[one.name]}}`);
  return commandOf(values, sets);
}
