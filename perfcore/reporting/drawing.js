// Pictures on canvases, and numbers as people read them. Nothing here knows of the physics.

const $ = (selector) => document.querySelector(selector);

function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const SHORT = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const PREFIXES = {
  s: [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]],
  bytes: [[1e15, "PB"], [1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]],
  J: [[1e6, "MJ"], [1e3, "kJ"], [1, "J"], [1e-3, "mJ"], [1e-6, "µJ"]],
  W: [[1e6, "MW"], [1e3, "kW"], [1, "W"]],
  FLOP: [[1e15, "PFLOP"], [1e12, "TFLOP"], [1e9, "GFLOP"], [1e6, "MFLOP"], [1, "FLOP"]],
};

function told(value, unit) {
  if (!Number.isFinite(value)) return "-";
  const steps = PREFIXES[unit];
  if (steps && value !== 0) {
    const [size, name] = steps.find(([least]) => Math.abs(value) >= least) || steps[steps.length - 1];
    return `${SHORT.format(value / size)} ${name}`;
  }
  if (unit === "USD") return `$${SHORT.format(value)}`;
  return unit === "1" || !unit ? SHORT.format(value) : `${SHORT.format(value)} ${unit}`;
}

// An interval with the unit of its middle: "21.3 ms (17–27)".
function ranged(value, low, high, unit) {
  const steps = PREFIXES[unit];
  const [size] = steps ? steps.find(([least]) => Math.abs(value) >= least) || steps[steps.length - 1] : [1];
  return `${told(value, unit)} (${SHORT.format(low / size)}–${SHORT.format(high / size)})`;
}

// Hues in the order of pictures' series, so that a device has the same in all of a report; dark enough for letters.
const LIGHT = ["#0072b2", "#b07d00", "#009e73", "#c43c00", "#b5489a", "#1c8fc9", "#1b1b1f", "#77777f"];
const DARK = ["#5db6f0", "#f5c64f", "#3fd1a0", "#ff7d4d", "#ee9fd0", "#9ad8ff", "#ffffff", "#b8b8c0"];
const TERMS = ["#0072b2", "#56b4e9", "#8c8c94", "#d55e00", "#cc79a7", "#e0b000", "#009e73", "#7a5195", "#5d8a2a", "#b5489a"];
const DASHES = [[], [6, 4], [2, 3], [9, 3, 2, 3], [1, 5], [12, 4]];

const scheme = matchMedia("(prefers-color-scheme: dark)");

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { ink: of("--ink"), faint: of("--faint"), line: of("--line"), paper: of("--paper"),
    card: of("--card"), series: scheme.matches ? DARK : LIGHT };
}

// A canvas of a height in CSS pixels, as wide as its place, sharp on any display.
function sheet(canvas, height) {
  const width = canvas.parentElement.clientWidth - parseFloat(getComputedStyle(canvas.parentElement).paddingLeft) * 2;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '12px "Liberation Sans", Arial, Helvetica, sans-serif';
  pen.textBaseline = "middle";
  return { pen, width, height, ink: colours() };
}

function fitted(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let kept = text;
  while (kept.length > 1 && pen.measureText(`${kept}…`).width > width) kept = kept.slice(0, -1);
  return `${kept}…`;
}

// Stacked bars: rows of { label, colour, value, parts: [[colour, size]], low, high, fault, chosen }.
function bars(canvas, rows) {
  const each = 40;
  const { pen, width, ink } = sheet(canvas, Math.max(rows.length, 1) * each + 4);
  const longest = Math.max(...rows.map((row) => Math.max(row.high || 0, row.parts.reduce((sum, part) => sum + part[1], 0))), 0);
  rows.forEach((row, number) => {
    const top = number * each + 2;
    if (row.chosen) {
      pen.fillStyle = ink.card;
      pen.fillRect(0, top, width, each - 2);
    }
    pen.fillStyle = row.colour;
    pen.fillRect(0, top + 4, 9, 9);
    pen.textAlign = "right";
    const right = row.fault || row.value;
    pen.fillStyle = row.fault ? ink.faint : ink.ink;
    const space = pen.measureText(right).width;
    pen.fillText(fitted(pen, right, width * 0.6), width, top + 9);
    pen.textAlign = "left";
    pen.fillStyle = ink.ink;
    pen.fillText(fitted(pen, row.label, width - Math.min(space, width * 0.6) - 26), 14, top + 9);
    if (!longest || row.fault) return;
    let from = 0;
    const scale = (width - 2) / longest;
    for (const [colour, size] of row.parts) {
      pen.fillStyle = colour;
      pen.fillRect(from * scale, top + 19, Math.max(size * scale - (size * scale > 3 ? 0.5 : 0), 0), 14);
      from += size;
    }
    if (row.high) {
      pen.strokeStyle = ink.ink;
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.moveTo(row.low * scale, top + 26);
      pen.lineTo(row.high * scale, top + 26);
      for (const end of [row.low, row.high]) {
        pen.moveTo(end * scale, top + 22);
        pen.lineTo(end * scale, top + 30);
      }
      pen.stroke();
    }
  });
}

// Ticks of a logarithmic axis: powers of ten, with 2 and 5 if there are few.
function ticks(low, high) {
  const found = [];
  const decades = Math.log10(high / low);
  const steps = decades > 4 ? [1] : decades > 1.2 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const step of steps) {
      const value = step * 10 ** power;
      if (value >= low * 0.999999 && value <= high * 1.000001) found.push(value);
    }
  }
  return found;
}

// Logarithmic axes around points; returns places of values. `right` is kept for labels.
function plane(canvas, height, points, xs, ys, right) {
  const { pen, width, ink } = sheet(canvas, height);
  const left = 62, top = 12, bottom = height - 40;
  const ends = (key, unit) => {
    const values = points.map((point) => point[key]).filter((value) => value > 0);
    let low = Math.min(...values), high = Math.max(...values);
    if (!values.length) [low, high] = [1, 10];
    const room = Math.max((high / low) ** 0.05, 1.08);
    return [low / room, high * room, unit];
  };
  const [x0, x1] = ends("x"), [y0, y1] = ends("y");
  const placeX = (x) => left + (Math.log(x / x0) / Math.log(x1 / x0)) * (width - right - left);
  const placeY = (y) => bottom - (Math.log(y / y0) / Math.log(y1 / y0)) * (bottom - top);
  pen.strokeStyle = ink.line;
  pen.fillStyle = ink.faint;
  pen.lineWidth = 1;
  pen.textAlign = "center";
  let last = -Infinity;
  for (const tick of ticks(x0, x1)) {
    const at = placeX(tick), text = told(tick, xs.unit);
    pen.beginPath();
    pen.moveTo(at, top);
    pen.lineTo(at, bottom);
    pen.stroke();
    const half = pen.measureText(text).width / 2;
    if (at - half > last + 8 && at + half < width) {
      pen.fillText(text, at, bottom + 12);
      last = at + half;
    }
  }
  pen.textAlign = "right";
  last = Infinity;
  for (const tick of ticks(y0, y1)) {
    const at = placeY(tick);
    pen.beginPath();
    pen.moveTo(left, at);
    pen.lineTo(width - right, at);
    pen.stroke();
    if (at < last - 14) {
      pen.fillText(fitted(pen, told(tick, ys.unit), left - 6), left - 5, at);
      last = at;
    }
  }
  pen.fillStyle = ink.ink;
  pen.textAlign = "center";
  pen.fillText(fitted(pen, xs.label, width - left), left + (width - right - left) / 2, bottom + 30);
  pen.save();
  pen.translate(7, top + (bottom - top) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(fitted(pen, ys.label, bottom - top), 0, 0);
  pen.restore();
  return { pen, ink, width, placeX, placeY, left, top, bottom, right: width - right };
}

// Lines over a plane: { label, colour, dash, points: [{ x, y, now }], low, high } with labels at their ends.
function lines(canvas, height, all, xs, ys) {
  const narrow = canvas.parentElement.clientWidth < 560;
  const labelled = all.filter((line) => line.points.length);
  const points = labelled.flatMap((line) => line.points);
  const ruler = canvas.getContext("2d");
  const longest = Math.max(...labelled.map((line) => ruler.measureText(line.label).width), 30);
  const room = Math.min(narrow ? 120 : 240, longest + 26);
  const at = plane(canvas, height, points, xs, ys, room);
  const { pen, ink } = at;
  const ends = [];
  for (const line of labelled) {
    pen.strokeStyle = pen.fillStyle = line.colour;
    pen.lineWidth = line.chosen ? 3 : 1.75;
    pen.setLineDash(line.dash);
    pen.beginPath();
    line.points.forEach((point, number) => {
      point.px = at.placeX(point.x);
      point.py = at.placeY(point.y);
      if (number) pen.lineTo(point.px, point.py);
      else pen.moveTo(point.px, point.py);
    });
    pen.stroke();
    pen.setLineDash([]);
    for (const point of line.points) {
      pen.beginPath();
      pen.arc(point.px, point.py, point.now ? 6 : 2.5, 0, 7);
      pen.fill();
      if (!point.now) continue;
      pen.strokeStyle = ink.paper;
      pen.lineWidth = 1.5;
      pen.stroke();
      pen.strokeStyle = line.colour;
      if (!point.low) continue;
      pen.lineWidth = line.chosen ? 2 : 1;
      pen.beginPath();
      pen.moveTo(Math.max(at.placeX(point.low), at.left), point.py);
      pen.lineTo(Math.min(at.placeX(point.high), at.right), point.py);
      pen.stroke();
    }
    const last = line.points.reduce((one, other) => (other.px > one.px ? other : one));
    ends.push({ line, last, y: last.py });
  }
  ends.sort((one, other) => one.y - other.y);
  for (let number = 1; number < ends.length; number++) ends[number].y = Math.max(ends[number].y, ends[number - 1].y + 15);
  const over = ends.length ? ends[ends.length - 1].y - at.bottom : 0;
  if (over > 0) {
    ends[ends.length - 1].y -= over;
    for (let number = ends.length - 2; number >= 0; number--) ends[number].y = Math.min(ends[number].y, ends[number + 1].y - 15);
  }
  pen.textAlign = "left";
  for (const { line, last, y } of ends) {
    pen.strokeStyle = line.colour;
    pen.lineWidth = 0.75;
    pen.beginPath();
    pen.moveTo(last.px + 4, last.py);
    pen.lineTo(at.right + 6, y);
    pen.stroke();
    pen.fillStyle = line.colour;
    pen.fillText(fitted(pen, line.label, room - 12), at.right + 9, y);
  }
  return at;
}

// Many points: { x, y, colour }, and a rectangle if one is drawn.
function dots(canvas, height, points, xs, ys, box) {
  const at = plane(canvas, height, points, xs, ys, 12);
  const { pen, ink } = at;
  const size = points.length > 3000 ? 2 : points.length > 500 ? 3 : 4;
  for (const point of points) {
    point.px = at.placeX(point.x);
    point.py = at.placeY(point.y);
    pen.fillStyle = point.colour;
    pen.fillRect(point.px - size / 2, point.py - size / 2, size, size);
  }
  if (box) {
    pen.strokeStyle = ink.ink;
    pen.setLineDash([4, 3]);
    pen.strokeRect(box.x, box.y, box.width, box.height);
    pen.setLineDash([]);
  }
  return at;
}

// Cells of a map: rows of colours from top to bottom, null where nothing runs; labels of both sides.
function cells(canvas, colour, columns, rows, xs, ys, now) {
  const each = 22, left = 62, top = 4;
  const { pen, width, ink } = sheet(canvas, rows.length * each + 44);
  const wide = (width - left - 8) / columns.length, bottom = top + rows.length * each;
  rows.forEach((_, row) => columns.forEach((__, column) => {
    pen.fillStyle = colour[row][column] || ink.card;
    pen.fillRect(left + column * wide, top + row * each, wide - 1, each - 1);
  }));
  pen.strokeStyle = ink.ink;
  pen.lineWidth = 2;
  pen.strokeRect(left + now[0] * wide, top + now[1] * each, wide - 1, each - 1);
  pen.fillStyle = ink.faint;
  pen.textAlign = "right";
  rows.forEach((label, row) => pen.fillText(label, left - 6, top + row * each + each / 2));
  pen.textAlign = "center";
  let last = -Infinity;
  columns.forEach((label, column) => {
    const at = left + (column + 0.5) * wide, half = pen.measureText(label).width / 2;
    if (at - half > last + 6) {
      pen.fillText(label, at, bottom + 10);
      last = at + half;
    }
  });
  pen.fillStyle = ink.ink;
  pen.fillText(xs, left + (width - left) / 2, bottom + 28);
  pen.save();
  pen.translate(7, (top + bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(ys, 0, 0);
  pen.restore();
  return { left, top, wide, each };
}

function nearest(points, x, y, within) {
  let best = null, least = within * within;
  for (const point of points) {
    const far = (point.px - x) ** 2 + (point.py - y) ** 2;
    if (far < least) [best, least] = [point, far];
  }
  return best;
}

function legend(place, pairs) {
  place.replaceChildren(...pairs.map(([colour, label]) => {
    const swatch = el("i");
    swatch.style.background = colour;
    return el("span", {}, swatch, label);
  }));
}

function hover(canvas, find, say) {
  const tip = $("#tip");
  canvas.addEventListener("pointermove", (event) => {
    const found = find(event);
    tip.hidden = !found;
    canvas.style.cursor = found ? "pointer" : "";
    if (!found) return;
    tip.textContent = say(found);
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
}

// Files

function save(name, parts, kind) {
  const link = el("a", { download: name, href: URL.createObjectURL(new Blob(parts, { type: kind })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const cell = (value) => (/[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
const lineOf = (values) => `${values.map(cell).join(",")}\r\n`;

// Pictures with their title, what they hold, and their origin; `entries` of the legend are colours with labels.
function png(name, title, setting, source, entries, canvases) {
  const ratio = window.devicePixelRatio || 1, sheet = el("canvas"), ink = colours(), pen = sheet.getContext("2d");
  const widest = Math.max(...canvases.map((canvas) => canvas.width));
  const head = (entries.length ? 64 : 44) * ratio, foot = 26 * ratio;
  sheet.width = widest + 24 * ratio;
  sheet.height = canvases.reduce((sum, canvas) => sum + canvas.height, 0) + head + foot;
  pen.fillStyle = ink.paper;
  pen.fillRect(0, 0, sheet.width, sheet.height);
  let top = head;
  for (const canvas of canvases) {
    pen.drawImage(canvas, 12 * ratio, top);
    top += canvas.height;
  }
  pen.scale(ratio, ratio);
  const width = sheet.width / ratio - 24;
  pen.fillStyle = ink.ink;
  pen.font = 'bold 14px "Liberation Sans", Arial, sans-serif';
  pen.fillText(fitted(pen, title, width), 12, 20);
  pen.font = '12px "Liberation Sans", Arial, sans-serif';
  pen.fillText(fitted(pen, setting, width), 12, 38);
  let from = 12;
  for (const [colour, label] of entries) {
    pen.fillStyle = colour;
    pen.fillRect(from, 48, 9, 9);
    pen.fillStyle = ink.ink;
    pen.fillText(label, from + 13, 57);
    from += pen.measureText(label).width + 28;
  }
  pen.fillStyle = ink.faint;
  pen.fillText(fitted(pen, source, width), 12, sheet.height / ratio - 9);
  sheet.toBlob((blob) => save(`${name}.png`, [blob], "image/png"));
}
