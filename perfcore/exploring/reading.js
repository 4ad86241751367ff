// Rows from files that a reader opens: Parquet as perfcore, DuckDB and pandas write it, CSV, JSON. Nothing here knows
// of a document. A file becomes columns of numbers or of places in a list of texts, of at most MOST_OPENED rows.

const MOST_OPENED = 50000;
const EXPORT = "export it as CSV: duckdb -c \"COPY (FROM 'part-*.parquet') TO 'rows.csv'\"";

// Values of Thrift's compact protocol, in which Parquet's metadata is written: structs by the numbers of their fields.
function thrift(bytes, from) {
  let at = from;
  const varint = () => {
    for (let value = 0, size = 1; ; size *= 128) {
      if (at >= bytes.length) throw new Error("ends too early");
      const byte = bytes[at++];
      value += (byte & 127) * size;
      if (byte < 128) return value;
    }
  };
  const whole = () => {
    const value = varint();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  };
  const list = () => {
    const head = bytes[at++], count = head >> 4 === 15 ? varint() : head >> 4;
    if (count > bytes.length) throw new Error("is damaged");
    return Array.from({ length: count }, () => ((head & 15) < 3 ? bytes[at++] === 1 : read(head & 15)));
  };
  const struct = () => {
    const found = {};
    for (let field = 0, head; (head = bytes[at++]);) {
      field = head >> 4 ? field + (head >> 4) : whole();
      found[field] = read(head & 15);
    }
    return found;
  };
  const read = (kind) => {
    if (kind < 3) return kind === 1;
    if (kind === 3) return bytes[at++];
    if (kind < 7) return whole();
    if (kind === 9 || kind === 10) return list();
    if (kind === 12) return struct();
    const length = kind === 7 ? 8 : kind === 8 ? varint() : NaN;
    if (!(at + length <= bytes.length)) throw new Error("is damaged");
    return bytes.subarray(at, (at += length));
  };
  return { value: struct(), end: at };
}

const sized = (size) => (size >= 0 && size < 2 ** 31 ? new Uint8Array(size) : null);

// Copy what was written `back` bytes before, which may overlap.
function repeat(out, to, back, length) {
  if (!back || back > to || to + length > out.length) throw new Error("is damaged");
  for (let place = to; place < to + length; place++) out[place] = out[place - back];
  return to + length;
}

function lz4(bytes, out) {
  let at = 0, to = 0;
  const longer = (length) => {
    if (length < 15) return length;
    for (let byte = 255; byte === 255; length += byte) byte = bytes[at++];
    return length;
  };
  while (at < bytes.length) {
    const token = bytes[at++], length = longer(token >> 4);
    out.set(bytes.subarray(at, at + length), to);
    at += length;
    to += length;
    if (at >= bytes.length) break;
    const back = bytes[at] | (bytes[at + 1] << 8);
    at += 2;
    to = repeat(out, to, back, longer(token & 15) + 4);
  }
  return out;
}

function snappy(bytes, out) {
  let at = 0, to = 0;
  while (bytes[at++] > 127); // the length, which is known
  while (at < bytes.length) {
    const tag = bytes[at++], kind = tag & 3;
    let length = (tag >> 2) + 1, back = 0;
    const number = (count) => {
      let value = 0;
      for (let place = 0; place < count; place++) value += bytes[at++] * 256 ** place;
      return value;
    };
    if (kind === 0) {
      if (length > 60) length = number(length - 60) + 1;
      out.set(bytes.subarray(at, at + length), to);
      at += length;
      to += length;
      continue;
    }
    if (kind === 1) {
      length = ((tag >> 2) & 7) + 4;
      back = (tag >> 5) * 256 + number(1);
    } else back = number(kind === 2 ? 2 : 4);
    to = repeat(out, to, back, length);
  }
  return out;
}

const CODECS = { 1: ["snappy", snappy], 2: ["gzip"], 3: ["lzo"], 4: ["brotli"], 5: ["lz4 with frames"], 6: ["zstd", zstd], 7: ["lz4", lz4] };

function unpackedPage(codec, bytes, size) {
  if (!codec) return bytes;
  const [name, decode] = CODECS[codec] || [`codec ${codec}`];
  if (!decode) throw new Error(`is compressed with ${name}, which this page does not read; ${EXPORT}`);
  const out = sized(size);
  if (!out) throw new Error("is damaged");
  return decode(bytes, out);
}

// Whole numbers in runs and packs of bits.
function packed(bytes, width, count) {
  const found = new Uint32Array(count);
  let at = 0, to = 0;
  while (to < count) {
    let head = 0;
    for (let size = 1, byte = 128; byte > 127; size *= 128) {
      if (at >= bytes.length) throw new Error("is damaged");
      byte = bytes[at++];
      head += (byte & 127) * size;
    }
    if (head % 2) {
      const many = Math.min(((head - 1) / 2) * 8, count - to);
      for (let bit = at * 8, place = 0; place < many; place++, bit += width) {
        let value = 0;
        for (let one = 0; one < width; one++) value += ((bytes[(bit + one) >> 3] >> ((bit + one) & 7)) & 1) * 2 ** one;
        found[to++] = value;
      }
      at += ((head - 1) / 2) * width;
    } else {
      let value = 0;
      for (let place = 0; place < Math.ceil(width / 8); place++) value += bytes[at++] * 256 ** place;
      found.fill(value, to, (to += Math.min(head / 2, count - to)));
    }
  }
  return found;
}

const WIDTHS = { 1: 4, 2: 8, 4: 4, 5: 8 }; // of Parquet's types of numbers
const decoder = new TextDecoder();

function plain(kind, bytes, count) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (kind === 0) return Array.from({ length: count }, (_, place) => (bytes[place >> 3] >> (place & 7)) & 1);
  if (kind === 6) {
    let at = 0;
    return Array.from({ length: count }, () => {
      const length = view.getUint32(at, true);
      at += 4 + length;
      return decoder.decode(bytes.subarray(at - length, at));
    });
  }
  const width = WIDTHS[kind];
  if (!width) throw new Error(`has a column of a type that this page does not read; ${EXPORT}`);
  const read = { 1: (at) => view.getInt32(at, true), 2: (at) => Number(view.getBigInt64(at, true)),
    4: (at) => view.getFloat32(at, true), 5: (at) => view.getFloat64(at, true) }[kind];
  return Float64Array.from({ length: count }, (_, place) => read(place * width));
}

function values(kind, encoding, bytes, count, dictionary) {
  if (encoding === 0) return plain(kind, bytes, count);
  if (encoding === 2 || encoding === 8) {
    return Array.from(packed(bytes.subarray(1), bytes[0], count), (place) => dictionary[place]);
  }
  if (encoding === 3 && kind === 0) return packed(bytes.subarray(4), 1, count);
  if (encoding !== 9 || !WIDTHS[kind]) throw new Error(`has an encoding that this page does not read; ${EXPORT}`);
  const width = WIDTHS[kind], whole = new Uint8Array(count * width); // bytes of each place together
  for (let byte = 0; byte < width; byte++) for (let place = 0; place < count; place++) whole[place * width + byte] = bytes[byte * count + place];
  return plain(kind, whole, count);
}

// All values of a column in a row group; null where there is none.
function chunk(bytes, meta, optional) {
  const { 1: kind, 4: codec, 5: total } = meta;
  const found = [];
  let dictionary = null, at = Math.min(meta[11] > 0 ? meta[11] : Infinity, meta[9]);
  while (found.length < total) {
    const { value: header, end } = thrift(bytes, at);
    const { 1: type, 2: size, 3: length } = header;
    if (!(length >= 0) || end + length > bytes.length) throw new Error("is damaged");
    let page = bytes.subarray(end, end + length);
    at = end + length;
    if (type === 2) {
      dictionary = plain(kind, unpackedPage(codec, page, size), header[7][1]);
      continue;
    }
    const second = type === 3, about = header[second ? 8 : 5];
    if (!about || !about[1]) throw new Error("is damaged");
    const count = about[1], encoding = about[second ? 4 : 2];
    let levels = null;
    if (second) {
      const before = about[5] + about[6];
      levels = page.subarray(about[6], before);
      page = page.subarray(before);
      if (about[7] !== false) page = unpackedPage(codec, page, size - before);
    } else {
      page = unpackedPage(codec, page, size);
      if (optional) {
        const long = new DataView(page.buffer, page.byteOffset).getUint32(0, true);
        levels = page.subarray(4, 4 + long);
        page = page.subarray(4 + long);
      }
    }
    const there = optional ? packed(levels, 1, count) : null;
    const known = there ? there.reduce((sum, one) => sum + one, 0) : count;
    const own = values(kind, encoding, page, known, dictionary);
    let next = 0;
    for (let place = 0; place < count; place++) found.push(!there || there[place] ? own[next++] : null);
  }
  return found;
}

function parquetFile(buffer) {
  const bytes = new Uint8Array(buffer), view = new DataView(buffer);
  const long = bytes.length > 12 ? view.getUint32(bytes.length - 8, true) : 0;
  if (!long || decoder.decode(bytes.subarray(-4)) !== "PAR1" || long > bytes.length - 12) throw new Error("is not a whole Parquet file");
  const { value: meta } = thrift(bytes, bytes.length - 8 - long);
  const leaves = meta[2].slice(1);
  if (leaves.some((one) => one[5] > 0 || one[3] === 2)) throw new Error(`has nested columns; ${EXPORT}`);
  const told = Object.fromEntries((meta[5] || []).filter((pair) => pair[2]).map(({ 1: key, 2: value }) => [decoder.decode(key), value]));
  return {
    total: meta[3],
    spec: told["perfcore.spec"] ? JSON.parse(decoder.decode(told["perfcore.spec"])) : null,
    names: leaves.map((one) => decoder.decode(one[4])),
    groups: (meta[4] || []).map((group) => ({ rows: group[3], column: (place) => chunk(bytes, group[1][place][3], leaves[place][3] === 1) })),
  };
}

// Lines of CSV: fields between commas, quoted if need be.
function csvRows(source) {
  const lines = [];
  let line = [], field = "", quoted = false;
  for (let at = 0; at < source.length; at++) {
    const letter = source[at];
    if (quoted) {
      if (letter !== '"') field += letter;
      else if (source[at + 1] === '"') field += source[at++];
      else quoted = false;
    } else if (letter === '"') quoted = true;
    else if (letter === ",") {
      line.push(field);
      field = "";
    } else if (letter === "\n") {
      lines.push([...line, field.replace(/\r$/, "")]);
      [line, field] = [[], ""];
    } else field += letter;
  }
  if (field || line.length) lines.push([...line, field]);
  const [names, ...rest] = lines.filter((one) => one.length > 1 || one[0]);
  if (!names || !rest.length) throw new Error("has no rows under a line of names");
  const wrong = rest.findIndex((one) => one.length !== names.length);
  if (wrong >= 0) throw new Error(`has ${rest[wrong].length} fields in line ${wrong + 2}, where its first line has ${names.length}`);
  names[0] = names[0].replace(/^\ufeff/, "");
  return ofTexts(names, names.map((_, place) => rest.map((one) => one[place])));
}

// A list of objects, one object a line, {rows: [...]}, or pandas' {column: {row: value}}.
function jsonRows(source) {
  let found;
  try {
    found = JSON.parse(source);
  } catch {
    found = source.split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line));
  }
  if (!Array.isArray(found) && Array.isArray(found.rows)) found = found.rows;
  if (!Array.isArray(found)) {
    const columns = Object.entries(found);
    if (columns.every(([, column]) => column && typeof column === "object")) return ofTexts(Object.keys(found), columns.map(([, column]) => Object.values(column)));
    found = [found];
  }
  if (!found.length || !found.every((row) => row && typeof row === "object")) throw new Error("is not a list of rows");
  const names = [...new Set(found.flatMap(Object.keys))];
  return ofTexts(names, names.map((name) => found.map((row) => row[name] ?? null)));
}

function ofTexts(names, columns) {
  return { total: columns[0].length, spec: null, names, groups: [{ rows: columns[0].length, column: (place) => columns[place] }] };
}

function fileOf(name, buffer) {
  const kind = (/\.(\w+)$/.exec(name) || [])[1];
  if (kind === "parquet") return parquetFile(buffer);
  if (kind === "csv") return csvRows(decoder.decode(buffer));
  if (["json", "ndjson", "jsonl"].includes(kind)) return jsonRows(decoder.decode(buffer));
  throw new Error("is none of .parquet, .csv and .json");
}

// Columns of all files, of evenly chosen rows if there are many.
function columnsOf(files) {
  const read = files.map(({ name, buffer }) => {
    try {
      return fileOf(name, buffer);
    } catch (error) {
      throw new Error(`${name} ${error instanceof RangeError || error instanceof TypeError || error instanceof SyntaxError ? "is damaged" : error.message}.`);
    }
  });
  const { names, spec } = read[0], total = read.reduce((sum, one) => sum + one.total, 0);
  const other = read.findIndex((one) => String(one.names) !== String(names));
  if (other >= 0) throw new Error(`${files[other].name} has other columns than ${files[0].name}; open files of one run.`);
  const count = Math.min(total, MOST_OPENED), columns = names.map(() => []);
  const chosen = Array.from({ length: count }, (_, place) => Math.floor((place * total) / count));
  let first = 0, next = 0;
  read.forEach((one, number) => one.groups.forEach(({ rows: long, column }) => {
    const mine = [];
    while (next < count && chosen[next] < first + long) mine.push(chosen[next++] - first);
    first += long;
    if (!mine.length) return;
    names.forEach((_, place) => {
      try {
        const listed = column(place);
        for (const row of mine) columns[place].push(listed[row]);
      } catch (error) {
        throw new Error(`${files[number].name} ${error instanceof RangeError || error instanceof TypeError ? "is damaged" : error.message}.`);
      }
    });
  }));
  return { names, spec, total, columns };
}

// The what-if that a column is of: its field, and whether it scales.
function whatIfOf(name) {
  let found = null;
  for (const [record, fields] of Object.entries(data.limits)) {
    for (const field of Object.keys(fields)) {
      const stem = `${record}_${field}`;
      if ((name === stem || name.startsWith(`${stem}_`)) && (!found || stem.length > found.length)) {
        found = { key: `${record}.${field}`, mode: name === `${stem}_scale` ? "scale" : "set", length: stem.length };
      }
    }
  }
  return found && { key: found.key, mode: found.mode };
}

// Rows as a page has them, of files that were opened.
function openedRows(files) {
  const { names, spec, total, columns } = columnsOf(files);
  const status = names.indexOf("status"), runs = columns[0].map((_, row) => status < 0 || ["ok", "overloaded"].includes(columns[status][row]));
  const found = { name: files.map(({ name }) => name).join(", "), given: "", kind: "file", total, constant: {}, what_ifs: {}, axes: {}, metrics: {} };
  const numeric = (column) => column.every((value) => value === null || value === "" || (value !== true && Number.isFinite(Number(value))));
  const number = (value) => (value === null || value === "" ? NaN : Number(value));
  const metric = new Set(data.columns.map((column) => column.name));
  names.forEach((name, place) => {
    const column = columns[place].filter((_, row) => runs[row]), whatIf = metric.has(name) ? null : whatIfOf(name);
    const numbers = numeric(column), axis = name in data.axes || whatIf || data.beyond.includes(name) || !numbers;
    if (!name || name === "status" || name === "command" || !column.length) return;
    if (!axis || metric.has(name) && numbers) {
      found.metrics[name] = Float64Array.from(column, number);
      return;
    }
    const cells = column.map((value) => (numbers ? number(value) : String(value ?? "-")));
    const listed = [...new Set(cells)];
    if (numbers) listed.sort((one, other) => one - other);
    if (whatIf) found.what_ifs[name] = whatIf;
    if (listed.length === 1) {
      [found.constant[name]] = listed;
      return;
    }
    const at = new Map(listed.map((value, order) => [value, order]));
    found.axes[name] = { values: listed, places: Uint32Array.from(cells, (value) => at.get(value)) };
  });
  if (spec) {
    for (const [key, { column, mode }] of Object.entries(spec.what_if || {})) found.what_ifs[column] = { key, mode };
    for (const [name, listed] of Object.entries(spec.axes || {})) {
      if (!(name in found.axes) && !(name in found.constant)) [found.constant[name]] = [].concat(listed);
    }
  }
  found.count = runs.filter(Boolean).length;
  if (!found.count || !Object.keys(found.metrics).length) throw new Error(`${found.name} has no rows with metrics such as tpot_s.`);
  const part = columns[0].length < total ? `${columns[0].length.toLocaleString("en-US")} of ${total.toLocaleString("en-US")} rows, evenly spread` : `All ${total.toLocaleString("en-US")} rows`;
  found.sentence = `${part}${found.count < columns[0].length ? `; ${(columns[0].length - found.count).toLocaleString("en-US")} of them cannot run and are left out` : ""}.`;
  return found;
}
