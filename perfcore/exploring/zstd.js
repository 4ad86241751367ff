// Zstandard as RFC 8878 describes it (sections in parentheses), without dictionaries; checksums are skipped, as pages of
// Parquet have none. Nothing here knows of Parquet.

const ZSTD_LITERALS = { accuracy: 6, most: 9, longest: 35, // distributions by default (3.1.1.3.2.2)
  counts: [4, 3, ...Array(11).fill(2), 1, 1, 1, ...Array(9).fill(2), 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1] };
const ZSTD_OFFSETS = { accuracy: 5, most: 8, longest: 31,
  counts: [1, 1, 1, 1, 1, 1, 2, 2, 2, ...Array(15).fill(1), -1, -1, -1, -1, -1] };
const ZSTD_MATCHES = { accuracy: 6, most: 9, longest: 52,
  counts: [1, 4, 3, 2, 2, 2, 2, 2, 2, ...Array(37).fill(1), -1, -1, -1, -1, -1, -1, -1] };
// Bits that follow a code of a length; its smallest length is the sum of what came before (3.1.1.3.2.1.1).
const LITERAL_BITS = [...Array(16).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const MATCH_BITS = [...Array(32).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const starting = (least, bits) => bits.map((_, code) => bits.slice(0, code).reduce((sum, one) => sum + 2 ** one, least));
const LITERAL_LEAST = starting(0, LITERAL_BITS), MATCH_LEAST = starting(3, MATCH_BITS);

const damaged = () => {
  throw new Error("is damaged");
};
const logOf = (value) => 31 - Math.clz32(value);

// Bits from the end of some bytes towards their start, of which the last 1 is a mark (4.1). `take` past the start gives
// zeros and leaves `left` negative.
function backwards(bytes) {
  const last = bytes[bytes.length - 1] || damaged();
  const reader = { left: bytes.length * 8 - 8 + logOf(last) };
  const word = (at) => bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  reader.peek = (count) => { // at most 24 bits
    const from = reader.left - count;
    if (from < 0) return reader.left > 0 ? (word(0) & (2 ** reader.left - 1)) << -from : 0;
    return (word(from >> 3) >>> (from & 7)) & (2 ** count - 1);
  };
  reader.take = (count) => {
    if (count > 16) return reader.take(count - 16) * 65536 + reader.take(16);
    const value = reader.peek(count);
    reader.left -= count;
    return value;
  };
  return reader;
}

// Table of a finite state machine: symbol, bits to read and base of the next state, by state (4.1.1).
function stateTable(counts, accuracy) {
  const size = 1 << accuracy, symbols = new Uint8Array(size), bits = new Uint8Array(size), base = new Uint16Array(size);
  const next = counts.map((count) => Math.abs(count)), step = (size >> 1) + (size >> 3) + 3;
  let high = size, at = 0;
  counts.forEach((count, symbol) => {
    if (count < 0) symbols[--high] = symbol;
  });
  counts.forEach((count, symbol) => {
    for (let time = 0; time < count; time++) {
      symbols[at] = symbol;
      do at = (at + step) & (size - 1); while (at >= high);
    }
  });
  for (let state = 0; state < size; state++) {
    const times = next[symbols[state]]++;
    bits[state] = accuracy - logOf(times);
    base[state] = (times << bits[state]) - size;
  }
  return { accuracy, symbols, bits, base };
}

// A table that is described by the counts of its symbols, and where its description ends (4.1.1).
function describedTable(bytes, from, most, longest) {
  let bit = from * 8;
  const take = (count) => {
    let value = 0;
    for (let place = 0; place < count; place++, bit++) {
      if (bit >> 3 >= bytes.length) damaged();
      value |= ((bytes[bit >> 3] >> (bit & 7)) & 1) << place;
    }
    return value;
  };
  const accuracy = take(4) + 5, counts = [];
  if (accuracy > most) damaged();
  for (let left = 1 << accuracy; left > 0;) {
    const width = logOf(left + 1), short = 2 ** (width + 1) - 2 - left; // so many values are one bit shorter
    let value = take(width);
    if (value >= short && take(1)) value += 2 ** width - short;
    counts.push(value - 1);
    left -= Math.abs(value - 1);
    if (left < 0) damaged();
    for (let more = value === 1 ? 3 : 0; more === 3;) {
      more = take(2);
      counts.push(...Array(more).fill(0));
    }
    if (counts.length > longest + 1) damaged();
  }
  return { table: stateTable(counts, accuracy), end: (bit + 7) >> 3 };
}

// Weights of a Huffman code that a state machine packs: two states take turns (4.2.1.2).
function packedWeights(bytes) {
  const { table, end } = describedTable(bytes, 0, 6, 255), reader = backwards(bytes.subarray(end));
  const states = [reader.take(table.accuracy), reader.take(table.accuracy)], weights = [];
  for (let turn = 0; weights.length < 255; turn = 1 - turn) {
    const state = states[turn];
    weights.push(table.symbols[state]);
    states[turn] = table.base[state] + reader.take(table.bits[state]);
    if (reader.left < 0) return [...weights, table.symbols[states[1 - turn]]];
  }
  return damaged();
}

// A Huffman code: symbol and length by the bits that come next, and where its description ends (4.2.1).
function huffmanCode(bytes) {
  const head = bytes[0], end = head < 128 ? head + 1 : 1 + ((head - 126) >> 1);
  if (!(end <= bytes.length)) damaged();
  const weights = head < 128 ? packedWeights(bytes.subarray(1, end))
    : Array.from({ length: head - 127 }, (_, place) => (bytes[1 + (place >> 1)] >> (place % 2 ? 0 : 4)) & 15);
  const sum = weights.reduce((total, weight) => total + (weight && 2 ** (weight - 1)), 0);
  const most = sum ? logOf(sum) + 1 : 0, rest = 2 ** most - sum; // the weight of the last symbol fills up
  if (!most || most > 11 || rest !== 2 ** logOf(rest) || weights.length > 255) damaged();
  weights.push(logOf(rest) + 1);
  const symbols = new Uint8Array(2 ** most), lengths = new Uint8Array(2 ** most);
  for (let weight = 1, at = 0; weight <= most; weight++) {
    weights.forEach((one, symbol) => {
      if (one !== weight) return;
      symbols.fill(symbol, at, at + 2 ** (weight - 1));
      lengths.fill(most + 1 - weight, at, (at += 2 ** (weight - 1)));
    });
  }
  return { code: { most, symbols, lengths }, end };
}

function huffmanStream({ most, symbols, lengths }, bytes, out) {
  const reader = backwards(bytes);
  for (let to = 0; to < out.length; to++) {
    const next = reader.peek(most);
    out[to] = symbols[next];
    reader.left -= lengths[next];
  }
  if (reader.left) damaged();
}

// The literals of a block, and where they end (3.1.1.3.1). `known` keeps the last Huffman code.
function literalsOf(block, known) {
  const kind = block[0] & 3, form = (block[0] >> 2) & 3;
  const head = Array.from({ length: 5 }, (_, place) => (block[place] || 0) * 256 ** place).reduce((sum, one) => sum + one);
  if (kind < 2) {
    const size = form % 2 ? Math.floor(head / 16) % 2 ** (form === 1 ? 12 : 20) : block[0] >> 3, from = form % 2 ? (form + 3) >> 1 : 1;
    if (kind === 1) return { literals: new Uint8Array(size).fill(block[from]), end: from + 1 };
    if (from + size > block.length) damaged();
    return { literals: block.subarray(from, from + size), end: from + size };
  }
  const width = [10, 10, 14, 18][form], from = [3, 3, 4, 5][form];
  const size = Math.floor(head / 16) % 2 ** width, end = from + (Math.floor(head / 2 ** (4 + width)) % 2 ** width);
  if (end > block.length) damaged();
  let bytes = block.subarray(from, end);
  if (kind === 2) {
    const found = huffmanCode(bytes);
    known.code = found.code;
    bytes = bytes.subarray(found.end);
  }
  if (!known.code) damaged();
  const literals = new Uint8Array(size);
  if (!form) huffmanStream(known.code, bytes, literals);
  else {
    const each = (size + 3) >> 2; // four streams, whose sizes but the last come first
    for (let stream = 0, at = 6; stream < 4; stream++) {
      const long = stream < 3 ? bytes[2 * stream] | (bytes[2 * stream + 1] << 8) : bytes.length - at;
      if (!(long > 0 && at + long <= bytes.length)) damaged();
      huffmanStream(known.code, bytes.subarray(at, at + long), literals.subarray(stream * each, Math.min((stream + 1) * each, size)));
      at += long;
    }
  }
  return { literals, end };
}

// The table of a kind of code, and where its description ends (3.1.1.3.2.1).
function tableOf(mode, bytes, at, kind, known, name) {
  let end = at;
  if (mode === 0) known[name] = stateTable(kind.counts, kind.accuracy);
  if (mode === 1) {
    if (!(bytes[at] <= kind.longest)) damaged();
    known[name] = { accuracy: 0, symbols: [bytes[at]], bits: [0], base: [0] };
    end++;
  }
  if (mode === 2) ({ table: known[name], end } = describedTable(bytes, at, kind.most, kind.longest));
  return known[name] ? end : damaged();
}

// A compressed block: literals, and copies of what was written before (3.1.1.3.2, 3.1.1.5).
function zstdBlock(block, out, start, known) {
  const { literals, end } = literalsOf(block, known);
  const head = block[end], count = head < 128 ? head : head < 255 ? (head - 128) * 256 + block[end + 1] : block[end + 1] + block[end + 2] * 256 + 0x7f00;
  let at = end + (head < 128 ? 1 : head < 255 ? 2 : 3), to = start, from = 0;
  const copied = (length) => {
    if (from + length > literals.length || to + length > out.length) damaged();
    out.set(literals.subarray(from, from + length), to);
    from += length;
    to += length;
  };
  if (count) {
    const modes = block[at++];
    if (modes & 3) damaged();
    at = tableOf(modes >> 6, block, at, ZSTD_LITERALS, known, "lengths");
    at = tableOf((modes >> 4) & 3, block, at, ZSTD_OFFSETS, known, "offsets");
    at = tableOf((modes >> 2) & 3, block, at, ZSTD_MATCHES, known, "matches");
    const reader = backwards(block.subarray(at)), { lengths, offsets, matches } = known;
    let length = reader.take(lengths.accuracy), offset = reader.take(offsets.accuracy), match = reader.take(matches.accuracy);
    for (let left = count; left--;) {
      const far = offsets.symbols[offset], distance = 2 ** far + reader.take(far);
      const long = matches.symbols[match], again = MATCH_LEAST[long] + reader.take(MATCH_BITS[long]);
      const short = lengths.symbols[length], literal = LITERAL_LEAST[short] + reader.take(LITERAL_BITS[short]);
      if (left) {
        length = lengths.base[length] + reader.take(lengths.bits[length]);
        match = matches.base[match] + reader.take(matches.bits[match]);
        offset = offsets.base[offset] + reader.take(offsets.bits[offset]);
      }
      if (reader.left < 0) damaged();
      copied(literal);
      to = repeat(out, to, backOf(distance, literal, known.recent), again);
    }
    if (reader.left) damaged();
  } else if (head === undefined || at !== block.length) damaged();
  copied(literals.length - from);
  return to;
}

// How far back a copy lies: new, or one of the last three distances, which are kept in order (3.1.1.5).
function backOf(distance, literal, recent) {
  const place = distance > 3 ? 3 : distance - (literal ? 1 : 0); // 0 to 2: of the last ones; 3: a new one, or the last less 1
  const back = distance > 3 ? distance - 3 : place < 3 ? recent[place] : recent[0] - 1;
  if (place > 1) recent[2] = recent[1];
  if (place) [recent[0], recent[1]] = [back, recent[0]];
  return back;
}

function zstd(bytes, out) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0, to = 0;
  while (at < bytes.length) {
    const magic = view.getUint32(at, true);
    if (magic >>> 4 === 0x184d2a5) { // a frame to skip (3.1.2)
      at += 8 + view.getUint32(at + 4, true);
      continue;
    }
    if (magic !== 0xfd2fb528) damaged();
    const about = bytes[at + 4], single = about & 32; // header of a frame (3.1.1.1)
    if (about & 8) damaged();
    if (about & 3) throw new Error("is compressed with a dictionary of zstd, which this page does not have");
    at += 5 + (single ? 0 : 1) + [single ? 1 : 0, 2, 4, 8][about >> 6];
    const known = { recent: [1, 4, 8] };
    for (let last = 0; !last;) {
      const head = view.getUint16(at, true) | (bytes[at + 2] << 16), kind = (head >> 1) & 3, size = head >> 3; // (3.1.1.2)
      last = head & 1;
      at += 3;
      const long = kind === 1 ? 1 : size;
      if (!(at + long <= bytes.length) || kind === 3) damaged();
      if (kind === 2) to = zstdBlock(bytes.subarray(at, at + long), out, to, known);
      else {
        if (to + size > out.length) damaged();
        if (kind === 1) out.fill(bytes[at], to, to + size);
        else out.set(bytes.subarray(at, at + size), to);
        to += size;
      }
      at += long;
    }
    if (about & 4) at += 4; // a checksum
  }
  return to === out.length && at === bytes.length ? out : damaged();
}
