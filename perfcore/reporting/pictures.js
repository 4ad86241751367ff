// Pictures of a page, from their data: panels of axes and layers, with tips, and buttons that hide series.

const DARKER = { "#000000": "#ffffff", "#0072B2": "#5db6f0", "#8A8A8A": "#b8b8c0", "#009E73": "#3fd1a0", "#D55E00": "#ff8d55" };
const shadeOf = (colour) => (scheme.matches && DARKER[colour]) || colour;
const OUTLINES = { // of shapes, in a square from -6 to 6
  square: [[-5, -5], [5, -5], [5, 5], [-5, 5]], "triangle-up": [[0, -5], [5, 5], [-5, 5]], "triangle-down": [[0, 5], [5, -5], [-5, -5]],
  "triangle-right": [[5, 0], [-5, 5], [-5, -5]], "triangle-left": [[-5, 0], [5, 5], [5, -5]], diamond: [[0, -6], [4, 0], [0, 6], [-4, 0]],
  cross: [[-2, -5], [2, -5], [2, -2], [5, -2], [5, 2], [2, 2], [2, 5], [-2, 5], [-2, 2], [-5, 2], [-5, -2], [-2, -2]],
};
const SIZES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

function marked(axis, value) {
  if (axis.percent) return `${SHORT.format(value * 100)} %`;
  if (axis.doubling && value >= 1024) return value >= 1048576 ? `${SHORT.format(value / 1048576)}Mi` : `${SHORT.format(value / 1024)}Ki`;
  const [size, letter] = SIZES.find(([least]) => Math.abs(value) >= least) || [1, ""];
  return SHORT.format(value / size) + letter;
}

// Where values of an axis are between two places, and which have a tick.
function scaled(axis, from, to) {
  if (axis.categories.length) {
    const each = (to - from) / axis.categories.length, order = new Map(axis.categories.map((name, place) => [name, place]));
    return { at: (name) => from + (order.get(name) + 0.5) * each, each: Math.abs(each),
      ticks: (axis.labelled.length ? axis.labelled : axis.categories).map((name) => [name, name]) };
  }
  const { low, high } = axis, span = high - low || 1;
  const at = axis.log ? (value) => from + (Math.log(value / low) / Math.log(high / low || 2)) * (to - from) : (value) => from + ((value - low) / span) * (to - from);
  let found;
  if (axis.doubling && axis.log) {
    const first = Math.ceil(Math.log2(low) - 1e-9), last = Math.floor(Math.log2(high) + 1e-9);
    found = Array.from({ length: Math.max(last - first + 1, 0) }, (_, power) => 2 ** (first + power));
  } else if (axis.log) found = ticks(low, high);
  else {
    const rough = span / 6, size = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 2.5, 5, 10].map((one) => one * size).find((one) => one >= rough);
    found = [];
    for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) found.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  }
  return { at, each: 0, ticks: found.map((value) => [value, marked(axis, value)]) };
}

// One panel; returns what can be pointed at: circles and rectangles with their rows.
function drawPanel(canvas, picture, panel, hidden, height) {
  const { pen, width, ink } = sheet(canvas, height);
  const ends = endsOf(panel, hidden), longest = Math.max(0, ...[...ends.keys()].map((name) => pen.measureText(name).width));
  const room = ends.size ? Math.min(longest + 16, width * 0.3) : 0; // for names of lines, beside their ends
  const { x, y } = panel, top = 8, bottom = height - 40, right = width - 10 - room;
  const names = y.categories.length ? y.categories : scaled(y, bottom, top).ticks.map(([, label]) => label);
  const left = 24 + Math.min(Math.max(...names.map((name) => pen.measureText(name).width), 10), width * 0.34);
  const xs = scaled(x, left, right), ys = scaled(y, y.categories.length ? top : bottom, y.categories.length ? bottom : top);
  pen.lineWidth = 1;
  pen.strokeStyle = ink.line;
  pen.fillStyle = ink.ink;
  pen.textAlign = "center";
  let last = -Infinity;
  for (const [value, label] of xs.ticks) {
    const at = xs.at(value), half = pen.measureText(label).width / 2;
    if (!x.categories.length) {
      pen.beginPath();
      pen.moveTo(at, top);
      pen.lineTo(at, bottom);
      pen.stroke();
    }
    if (at - half > last + 8 && at + half < right + 10) {
      pen.fillText(label, at, bottom + 12);
      last = at + half;
    }
  }
  pen.textAlign = "right";
  last = Infinity;
  for (const [value, label] of y.categories.length ? ys.ticks.reverse() : ys.ticks) {
    const at = ys.at(value);
    if (!y.categories.length) {
      pen.beginPath();
      pen.moveTo(left, at);
      pen.lineTo(right, at);
      pen.stroke();
    }
    if (at < last - 13) {
      pen.fillText(fitted(pen, label, left - 22), left - 5, at);
      last = at;
    }
  }
  pen.textAlign = "center";
  pen.fillText(fitted(pen, x.label, width - left), (left + right) / 2, bottom + 30);
  pen.save();
  pen.translate(7, (top + bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(fitted(pen, y.label, bottom - top), 0, 0);
  pen.restore();
  pen.save();
  pen.beginPath();
  pen.rect(left - 6, top - 6, right - left + 12, bottom - top + 12);
  pen.clip();
  const seen = [], look = Object.fromEntries(picture.series.map((one) => [one.name, one]));
  const colour = (row) => (row.series in look ? shadeOf(look[row.series].colour) : ink.faint);
  for (const layer of panel.layers) {
    const rows = layer.rows.filter((row) => !hidden.has(row.series));
    pen.setLineDash(layer.dash ? [5, 4] : []);
    pen.lineWidth = layer.dash ? 1.4 : 2;
    MARKS[layer.mark]({ pen, ink, rows, layer, xs, ys, seen, colour, look, panel, left, right, top, bottom });
    pen.setLineDash([]);
  }
  pen.restore();
  nameLines(pen, ends, { xs, ys, right, bottom, room, colour });
  return seen;
}

// The right end of each line that has a name.
function endsOf(panel, hidden) {
  const ends = new Map();
  for (const { mark, dash, rows } of panel.layers) {
    if (!["line", "step"].includes(mark) || dash) continue;
    for (const row of rows) if (row.series !== undefined && !hidden.has(row.series) && !(ends.get(row.series)?.x > row.x)) ends.set(row.series, row);
  }
  return ends;
}

function nameLines(pen, ends, { xs, ys, right, bottom, room, colour }) {
  const names = [...ends.values()].map((row) => ({ row, at: ys.at(row.y), y: ys.at(row.y) })).sort((one, other) => one.y - other.y);
  names.forEach((one, place) => { if (place) one.y = Math.max(one.y, names[place - 1].y + 14); });
  for (let place = names.length - 1, most = bottom; place >= 0; place--) {
    names[place].y = Math.min(names[place].y, most);
    most = names[place].y - 14;
  }
  pen.textAlign = "left";
  pen.lineWidth = 0.75;
  for (const { row, at, y } of names) {
    pen.strokeStyle = pen.fillStyle = colour(row);
    pen.beginPath();
    pen.moveTo(xs.at(row.x), at);
    pen.lineTo(right + 6, y);
    pen.stroke();
    pen.fillText(fitted(pen, row.series, room - 4), right + 9, y);
  }
}

function bySeries(rows) {
  const found = new Map();
  for (const row of rows) found.set(row.series, [...(found.get(row.series) || []), row]);
  return [...found.values()];
}

function tipOf(layer, picture, row) {
  const own = layer.tips.some((name) => ["term", "winner", "part"].includes(name));
  return [...(own || !(row.series) ? [] : [row.series]), ...layer.tips.map((name) => `${name}: ${row[name]}`)].join("\n");
}

function lineMark({ pen, rows, xs, ys, colour }, stepped) {
  for (const mine of bySeries(rows)) {
    pen.strokeStyle = colour(mine[0]);
    pen.beginPath();
    mine.forEach((row, place) => {
      if (!place) pen.moveTo(xs.at(row.x), ys.at(row.y));
      else {
        if (stepped) pen.lineTo(xs.at(row.x), ys.at(mine[place - 1].y));
        pen.lineTo(xs.at(row.x), ys.at(row.y));
      }
    });
    pen.stroke();
  }
}

const MARKS = {
  line: (all) => lineMark(all, false),
  step: (all) => lineMark(all, true),
  point({ pen, rows, xs, ys, colour, look, layer, seen }) {
    for (const row of rows) {
      const px = xs.at(row.x), py = ys.at(row.y), outline = OUTLINES[(look[row.series] || {}).shape];
      pen.fillStyle = colour(row);
      pen.beginPath();
      if (outline) outline.forEach(([dx, dy]) => pen.lineTo(px + dx * 0.8, py + dy * 0.8));
      else pen.arc(px, py, 4, 0, 7);
      pen.fill();
      seen.push({ px, py, row, layer });
    }
  },
  area({ pen, ink, rows, xs, ys, colour, layer, seen }) {
    for (const mine of bySeries(rows)) {
      pen.fillStyle = colour(mine[0]);
      pen.strokeStyle = ink.paper;
      pen.lineWidth = 0.7;
      pen.beginPath();
      if (mine.length === 1) pen.rect(xs.at(mine[0].x), ys.at(mine[0].y2), 12, ys.at(mine[0].y) - ys.at(mine[0].y2)); // a single length
      else for (const row of mine) pen.lineTo(xs.at(row.x), ys.at(row.y2));
      if (mine.length > 1) for (const row of [...mine].reverse()) pen.lineTo(xs.at(row.x), ys.at(row.y));
      pen.fill();
      pen.stroke();
      mine.forEach((row, place) => {
        const px = xs.at(row.x), before = place ? (xs.at(mine[place - 1].x) + px) / 2 : px, after = place + 1 < mine.length ? (xs.at(mine[place + 1].x) + px) / 2 : px + (mine.length === 1 ? 12 : 0);
        seen.push({ x0: before, x1: after, y0: ys.at(row.y2), y1: ys.at(row.y), row, layer });
      });
    }
  },
  bar({ pen, ink, rows, xs, ys, colour, layer, seen }) {
    const tall = ys.each * 0.8;
    for (const row of rows) {
      const x0 = xs.at(row.x), x1 = xs.at(row.x2), y0 = ys.at(row.y) - tall / 2;
      pen.fillStyle = colour(row);
      pen.fillRect(x0, y0, x1 - x0, tall);
      pen.strokeStyle = ink.paper;
      pen.lineWidth = 0.7;
      pen.strokeRect(x0, y0, x1 - x0, tall);
      seen.push({ x0, x1, y0, y1: y0 + tall, row, layer });
    }
  },
  cell({ pen, rows, xs, ys, colour, look, layer, seen }) {
    pen.font = 'bold 10px "Liberation Sans", Arial, sans-serif';
    pen.textAlign = "center";
    for (const row of rows) {
      const x0 = xs.at(row.x) - xs.each / 2, y0 = ys.at(row.y) - ys.each / 2;
      pen.fillStyle = colour(row);
      pen.fillRect(x0, y0, xs.each + 0.5, ys.each + 0.5);
      seen.push({ x0, x1: x0 + xs.each, y0, y1: y0 + ys.each, row, layer });
    }
    for (const row of rows) {
      if (!row.text || xs.each < 5) continue;
      const dark = ["#0072B2", "#009E73", "#D55E00", "#000000"].includes((look[row.series] || {}).colour);
      pen.fillStyle = dark && !scheme.matches ? "#fff" : "#000";
      pen.fillText(row.text, xs.at(row.x), ys.at(row.y));
    }
  },
  rule({ pen, ink, rows, ys, left, right }) {
    pen.setLineDash([2, 2]);
    pen.lineWidth = 1;
    pen.strokeStyle = pen.fillStyle = ink.ink;
    pen.textAlign = "left";
    for (const row of rows) {
      pen.beginPath();
      pen.moveTo(left, ys.at(row.y));
      pen.lineTo(right, ys.at(row.y));
      pen.stroke();
      pen.fillText(row.text, left + 5, ys.at(row.y) - 8);
    }
  },
  note({ pen, ink, rows, xs, ys, panel }) {
    pen.textAlign = "left";
    for (const row of rows) {
      pen.save();
      pen.translate(xs.at(row.x) + 6, ys.at(row.y));
      if (!panel.y.categories.length) pen.rotate(-Math.PI / 2);
      pen.fillStyle = panel.y.categories.length ? ink.ink : ink.faint;
      pen.fillText(row.text, panel.y.categories.length ? 0 : 5, panel.y.categories.length ? 0 : 6);
      pen.restore();
    }
  },
};

function pointedAt(seen, x, y) {
  const near = nearest(seen.filter((one) => one.px !== undefined), x, y, 16);
  return near || seen.find(({ x0, x1, y0, y1 }) => x >= x0 && x <= x1 && y >= y0 && y <= y1) || null;
}

function showPictures() {
  const listed = JSON.parse($("#drawn").textContent);
  for (const figure of document.querySelectorAll("figure[data-picture]")) {
    const picture = listed[Number(figure.dataset.picture)];
    const hidden = new Set(), canvases = [...figure.querySelectorAll("canvas")], buttons = [...figure.querySelectorAll(".legend button")];
    const seen = canvases.map(() => []);
    const drawAll = () => {
      canvases.forEach((canvas, place) => {
        const { categories } = picture.panels[place].y;
        seen[place] = drawPanel(canvas, picture, picture.panels[place], hidden, categories.length ? Math.max(250, 22 * categories.length) : canvases.length > 1 ? 300 : 380);
      });
      buttons.forEach((button, place) => button.querySelector("svg").setAttribute("fill", shadeOf(picture.series[place].colour)));
      figure.dataset.drawn = seen.flat().length;
    };
    canvases.forEach((canvas, place) => hover(canvas, (event) => pointedAt(seen[place], event.offsetX, event.offsetY), ({ layer, row }) => tipOf(layer, picture, row)));
    buttons.forEach((button, place) => button.addEventListener("click", () => {
      const { name } = picture.series[place];
      if (!hidden.delete(name)) hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      drawAll();
    }));
    figure.querySelector(".png").addEventListener("click", () => png(picture.kind, picture.finding, picture.setting, picture.source,
      picture.series.filter(({ name }) => !hidden.has(name)).map(({ name, colour }) => [shadeOf(colour), name]), canvases));
    figure.querySelector(".csv").addEventListener("click", () => {
      const layers = picture.panels.flatMap((panel) => panel.layers.filter((layer) => layer.tips.length).map((layer) => [panel.title, layer]));
      const tips = [...new Set(layers.flatMap(([, layer]) => layer.tips))];
      save(`${picture.kind}.csv`, [lineOf(["panel", "series", ...tips]),
        ...layers.flatMap(([title, { rows }]) => rows.map((row) => lineOf([title, row.series ?? "", ...tips.map((name) => row[name] ?? "")])))], "text/csv");
    });
    drawAll();
    addEventListener("resize", () => requestAnimationFrame(drawAll));
    scheme.addEventListener("change", drawAll);
  }
}

if ($("#drawn")) showPictures();
