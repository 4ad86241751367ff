// Rows of a run: filtered, coloured, brushed; each with the command that computes it again.

const unpacked = (text, Kind) => new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
let dotsDrawn = [], box = null, brushed = null, picked = null, rowsDrawn = "";

function buildRows() {
  const { axes, metrics, name, sentence, given } = data.rows;
  rows = { axes: {}, metrics: {} };
  for (const [axis, { values, places }] of Object.entries(axes)) rows.axes[axis] = { values, places: unpacked(places, Uint32Array) };
  for (const [metric, text] of Object.entries(metrics)) rows.metrics[metric] = unpacked(text, Float32Array);
  const measured = Object.keys(metrics), varying = Object.keys(axes);
  $("#run").hidden = false;
  $("#run h2").textContent = `Rows of the run ${name}`;
  $("#sentence").textContent = `${sentence} (${given})`;
  settleRows();
  const named = measured.map((one) => [one, worded(one)]);
  const changed = (key) => (value) => { box = brushed = null; change({ [key]: value }); };
  $("#run .axes").append(
    picker("rx", "across", named, changed("rx")), picker("ry", "up", named, changed("ry")),
    picker("rc", "colour", varying.map((axis) => [axis, axis]), changed("rc")),
    ...varying.map((axis) => {
      const control = el("select", { name: `where-${axis}` }, el("option", { value: "" }, "all"),
        ...axes[axis].values.map((value) => el("option", { value: String(value) }, String(value))));
      const show = () => { control.value = state.where[axis] || ""; };
      control.addEventListener("change", () => {
        const where = { ...state.where };
        if (control.value) where[axis] = control.value;
        else delete where[axis];
        box = brushed = null;
        change({ where });
      });
      refresh.push(show);
      show();
      return el("label", {}, `only ${axis}`, control);
    }));
  const canvas = $("#run canvas");
  hover(canvas, (event) => nearest(dotsDrawn, event.offsetX, event.offsetY, 24), ({ row }) => Object.entries(valuesOf(row)).filter(([axis]) => axes[axis]).map(([axis, value]) => `${axis} ${value}`)
    .concat(`${told(rows.metrics[state.rx][row], (COLUMN[state.rx] || {}).unit)}, ${told(rows.metrics[state.ry][row], (COLUMN[state.ry] || {}).unit)}`).join("\n"));
  let from = null;
  canvas.addEventListener("pointerdown", (event) => { from = [event.offsetX, event.offsetY]; });
  canvas.addEventListener("pointermove", (event) => {
    if (!from || !event.buttons) return;
    const [x, y] = from;
    if (Math.hypot(event.offsetX - x, event.offsetY - y) < 5) return;
    box = { x: Math.min(x, event.offsetX), y: Math.min(y, event.offsetY), width: Math.abs(event.offsetX - x), height: Math.abs(event.offsetY - y) };
    ask();
  });
  canvas.addEventListener("pointerup", (event) => {
    const moved = from && Math.hypot(event.offsetX - from[0], event.offsetY - from[1]) >= 5;
    from = null;
    if (!moved) {
      box = brushed = null;
      const found = nearest(dotsDrawn, event.offsetX, event.offsetY, 24);
      picked = found ? found.row : null;
    } else {
      brushed = new Set(dotsDrawn.filter(({ px, py }) => px >= box.x && px <= box.x + box.width && py >= box.y && py <= box.y + box.height)
        .map(({ row }) => row));
    }
    ask();
  });
  $("#rowcopy").addEventListener("click", () => copy($("#rowcopy"), $("#rowcommand").textContent));
  $("#load").addEventListener("click", load);
  $("#rowcsv").addEventListener("click", () => save("rows.csv", rowsCsv(), "text/csv"));
}

// Choices that the run has.
function settleRows() {
  const measured = Object.keys(rows.metrics), varying = Object.keys(rows.axes);
  const held = (asked, fallback) => (measured.includes(asked) ? asked : fallback);
  state.rx = held(state.rx, measured[0]);
  state.ry = held(state.ry, measured[measured.length - 1]);
  if (!varying.includes(state.rc)) state.rc = varying.includes("device") ? "device" : varying[0] || "";
}

function valuesOf(row) {
  const values = { ...data.rows.constant };
  for (const [axis, { values: listed, places }] of Object.entries(rows.axes)) values[axis] = listed[places[row]];
  return values;
}

function rowsShown() {
  const conditions = Object.entries(state.where).filter(([axis]) => rows.axes[axis])
    .map(([axis, text]) => [rows.axes[axis].places, rows.axes[axis].values.findIndex((value) => String(value) === text)]);
  const found = [];
  for (let row = 0; row < data.rows.count; row++) {
    if (conditions.every(([places, place]) => places[row] === place) && (!brushed || brushed.has(row))) found.push(row);
  }
  return found;
}

// What-ifs of a row; null if no command computes it. A sweep counts all matrices in the bits of its format, as
// is then stated, and takes a format's name for that format alone.
function setsOf(row) {
  const values = valuesOf(row);
  const { model, weight_format: form } = values;
  if (!data.catalogue.model[model] || !data.catalogue.weight_format[form] || meantFormat(model, form) !== form) return null;
  const plain = recordOf("weight_format", form), own = formatOf(model, form);
  const bits = WeightFormat.fields.filter((field) => plain[field] !== own[field]).map((field) => `weight_format.${field}=${plain[field]}`);
  return [...bits, ...Object.entries(data.rows.what_ifs).map(([column, { key, mode }]) => `${key}${mode === "scale" ? "*" : "="}${values[column]}`)];
}

function commandOfRow(row) {
  const sets = setsOf(row);
  return sets ? commandOf(valuesOf(row), sets.map((text) => text.replace(/\*(.*)/, "={scale=$1}"))) : "";
}

// The row's values as the page's choices.
function load() {
  const changes = { sets: setsOf(picked) };
  for (const [name, value] of Object.entries(valuesOf(picked))) {
    const found = name in data.axes ? admitted(name, String(value)) : null;
    if (found !== null) changes[name] = SERIES.includes(name) ? [found] : found;
  }
  for (const name of Object.keys(FACTORS)) changes[name] = 1;
  change(changes);
  for (const show of refresh) show();
  $("#finding").scrollIntoView();
}

function rowsCsv() {
  const names = Object.keys(rows.metrics), axes = Object.keys(valuesOf(0));
  const lines = [lineOf([...axes, ...names, "command"])];
  for (const row of rowsShown()) {
    const values = valuesOf(row);
    lines.push(lineOf([...axes.map((axis) => values[axis]), ...names.map((name) => rows.metrics[name][row]), commandOfRow(row)]));
  }
  return lines;
}

function drawRows() {
  const { rx, ry, rc, where } = state;
  const values = rows.axes[rc] ? rows.axes[rc].values : [];
  // what has a colour above has the same here
  const order = [...new Set([...(rc === tellingAxis() ? state[rc] : []), ...values])];
  const now = JSON.stringify([order, rx, ry, rc, where, box, brushed && [...brushed], picked, innerWidth, scheme.matches]);
  if (now === rowsDrawn) return; // choices above change no row
  rowsDrawn = now;
  const ink = colours(), colour = rows.axes[state.rc];
  const xs = rows.metrics[state.rx], ys = rows.metrics[state.ry];
  if (!xs || !ys) return;
  const few = order.length <= ink.series.length;
  const shade = (place) => (few ? ink.series[order.indexOf(values[place])] : `hsl(${220 - (200 * place) / (colour.values.length - 1)} 70% ${scheme.matches ? 65 : 42}%)`);
  const found = rowsShown();
  dotsDrawn = found.filter((row) => xs[row] > 0 && ys[row] > 0).map((row) => ({ x: xs[row], y: ys[row], row, colour: colour ? shade(colour.places[row]) : ink.series[0] }));
  dots($("#run canvas"), 400, dotsDrawn, titled(state.rx), titled(state.ry), box && !brushed ? box : null);
  legend($("#run .legend"), (few ? values : [values[0], values[values.length - 1]]).filter((value) => value !== undefined)
    .map((value) => [shade(values.indexOf(value)), `${state.rc} ${value}`]));
  $("#sentence").textContent = `${data.rows.sentence} ${found.length.toLocaleString("en-US")} shown${brushed ? ", as selected; press an empty place to see all" : ""}.`;
  $("#run canvas").setAttribute("aria-label", `Rows of the run: ${state.ry} over ${state.rx}, ${found.length} points`);
  if (picked !== null && !found.includes(picked)) picked = null;
  $("#run .command").hidden = picked === null;
  if (picked === null) {
    $("#row").textContent = "";
    return;
  }
  const measured = Object.entries(rows.metrics).slice(0, 6).map(([name, column]) => `${name} ${told(column[picked], (COLUMN[name] || {}).unit)}`);
  $("#row").textContent = `${Object.entries(valuesOf(picked)).filter(([axis]) => rows.axes[axis]).map(([axis, value]) => `${axis} ${value}`).join(", ")}: ${measured.join(", ")}.`;
  const command = commandOfRow(picked);
  $("#rowcommand").textContent = command || "(no command: the catalogue lacks an entry of this row, or its format's name means the model's own)";
  $("#rowcopy").hidden = $("#load").hidden = !command;
}
