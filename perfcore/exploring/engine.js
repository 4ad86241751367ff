// From choices to points: records, layouts, commands. Nothing here knows of a document.
// The physics stands before this file, translated from Python; `data` holds the catalogue.

const { Model, Device, Engine, WeightFormat, KVFormat, Economics, Deployment } = physics;
const { evaluate, fewest_devices, prepare } = physics;
const RECORDS = {
  model: Model, device: Device, engine: Engine, weight_format: WeightFormat, kv_format: KVFormat, economics: Economics,
};
const SERIES = ["device", "model", "weight_format", "tp"]; // in the order of labels
const MOST_SERIES = 24;
const AUTO = "auto", NATIVE = "native";
const known = new Map();

function recordOf(kind, name) {
  const key = `${kind} ${name}`;
  if (!known.has(key)) known.set(key, new RECORDS[kind](...data.catalogue[kind][name].record));
  return known.get(key);
}

// The format that a name means for a model: the publisher's word for its own is not the catalogue's.
function meantFormat(model, name) {
  const { native, dtype } = data.catalogue.model[model];
  return name === NATIVE || name === dtype ? native : name;
}

function formatOf(model, name) {
  const own = (data.catalogue.model[model].formats || {})[name];
  return own ? new WeightFormat(...own) : recordOf("weight_format", name);
}

function engineOf(engine, device, kernel) {
  const use = data.catalogue.engine[engine].uses[device];
  return new Engine(...data.catalogue.constants[Array.isArray(use) ? use[kernel] : use]);
}

// A what-if as the page writes it: `device.link_bandwidth*2` scales a field, `economics.pue=1.1` sets it.
// Null if it is none.
function parsedSet(text) {
  const [, record, field, sign, number] = /^(\w+)\.(\w+)\s*([=*])\s*(\S+)$/.exec(text.trim()) || [];
  const value = Number(number);
  if (!Object.hasOwn(data.limits, record || "") || !Object.hasOwn(data.limits[record], field)) return null;
  if (!Number.isFinite(value) || (sign === "*" && value <= 0)) return null;
  return { record, field, scale: sign === "*", value };
}

// All what-ifs of a state: of sliders, as far as a device has what they scale, and others.
function changesOf(state, records) {
  const sliders = data.scales
    .filter(({ name, record, field }) => state[name] !== 1 && records[record][field] !== 0)
    .map(({ name, record, field }) => ({ record, field, scale: true, value: state[name] }));
  return [...sliders, ...state.sets.map(parsedSet)];
}

// A record with what-ifs applied, as by `--set`.
function changed(kind, record, changes) {
  const own = Object.fromEntries(changes.filter((one) => one.record === kind).map((one) => [one.field, one]));
  if (!Object.keys(own).length) return record;
  const Kind = RECORDS[kind];
  return new Kind(...Kind.fields.map((field) => {
    if (!(field in own)) return record[field];
    return own[field].scale ? own[field].value * record[field] : own[field].value;
  }));
}

const TWICE = / is changed twice$/;

// Why what-ifs cannot be; empty if they can.
function faultOf(records, changes) {
  const seen = new Set();
  for (const { record, field } of changes) {
    const key = `${record}.${field}`, value = records[record][field];
    const [low, high, least, whole] = data.limits[record][field];
    if (seen.has(key)) return `${key} is changed twice`;
    if (value < low || value > high || (value !== low && value < least) || (whole && value !== Math.floor(value))) {
      return `${key} is out of its limits`;
    }
    seen.add(key);
  }
  for (const [kind, ties] of Object.entries(data.ties)) {
    if (!changes.some(({ record }) => record === kind)) continue;
    for (const [less, more] of ties) {
      if (records[kind][less] > records[kind][more]) return `${kind}.${less} exceeds ${more}`;
    }
  }
  return "";
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
  const format = meantFormat(one.model, one.weight_format);
  const made = { ...one, tpGiven: one.tp, format, fault: "" };
  if (!format) {
    made.fault = "is published in a format that the catalogue lacks; choose one";
    return made;
  }
  const plain = {
    model: recordOf("model", one.model),
    device: recordOf("device", one.device),
    weight_format: formatOf(one.model, format),
    kv_format: recordOf("kv_format", state.kv_format),
    economics: recordOf("economics", state.economics),
  };
  plain.engine = engineOf(state.engine, one.device, plain.weight_format.kernel);
  made.changes = changesOf(state, plain);
  made.records = {};
  for (const [kind, record] of Object.entries(plain)) made.records[kind] = changed(kind, record, made.changes);
  layOut(state, made);
  made.fault = faultOf(made.records, made.changes);
  if (state.draft_len > 0 && state.acceptance === 0) made.fault = "all drafts are rejected";
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
  const engine = data.catalogue.engine[state.engine];
  const value = {
    ...state, tp: made.tp, pp: made.pp, batch,
    scheduler: codeOf("scheduler", state.scheduler), offload: codeOf("offload", state.offload),
    layouts: engine.layouts, barred: engine.lacks.includes(made.records.weight_format.kernel) ? 1 : 0,
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
  if (!made.records || TWICE.test(made.fault)) return ""; // no command says what is not possible
  const values = { ...state, model: made.model, device: made.device, weight_format: made.format,
    tp: made.tp, pp: made.pp, batch };
  if (!state.draft_len) values.acceptance = data.axes.acceptance.default;
  return commandOf(values, made.changes.map(({ record, field, scale, value }) =>
    `${record}.${field}=${scale ? `{scale=${value}}` : value}`));
}
