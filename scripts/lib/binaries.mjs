/** What a shared library offers and needs, read from its file: ELF, PE or Mach-O, 64 bits. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Failure } from './shell.mjs';

/** The text that ends with a zero byte. */
const textAt = (bytes, at) => bytes.toString('latin1', at, bytes.indexOf(0, at));
const list = (length, of) => Array.from({ length }, (_, index) => of(index));
const number64 = (bytes, at) => Number(bytes.readBigUInt64LE(at));

/** Where in the file an address is, by the parts that are loaded to addresses. */
function fileOffset(parts, address) {
  const part = parts.find(({ from, size }) => address >= from && address < from + size);
  if (part === undefined) throw new Failure(`Address ${address} is in no part of the file.`);
  return address - part.from + part.offset;
}

function readElf(bytes) {
  const machines = { 62: 'x64', 183: 'arm64' };
  const headers = number64(bytes, 32);
  const segments = list(bytes.readUInt16LE(56), (index) => {
    const at = headers + index * bytes.readUInt16LE(54);
    const [offset, from, size] = [8, 16, 32].map((field) => number64(bytes, at + field));
    return { type: bytes.readUInt32LE(at), offset, from, size };
  });
  const loaded = segments.filter(({ type }) => type === 1);
  const dynamic = segments.find(({ type }) => type === 2);
  const entries = list(dynamic.size / 16, (index) => {
    const at = dynamic.offset + 16 * index;
    return { tag: number64(bytes, at), value: number64(bytes, at + 8) };
  });
  const valueOf = (wanted) => entries.find(({ tag }) => tag === wanted)?.value;
  const texts = fileOffset(loaded, valueOf(5));
  const named = (wanted) =>
    entries.filter(({ tag }) => tag === wanted).map(({ value }) => textAt(bytes, texts + value));
  // The table of symbols has no length; that of names comes behind it.
  const symbols = fileOffset(loaded, valueOf(6));
  const exported = list(Math.floor((texts - symbols) / 24), (index) => symbols + 24 * index)
    .filter((at) => bytes.readUInt16LE(at + 6) !== 0)
    .map((at) => textAt(bytes, texts + bytes.readUInt32LE(at)));
  return {
    system: 'linux',
    machine: machines[bytes.readUInt16LE(18)],
    needs: named(1),
    searches: [...named(15), ...named(29)].flatMap((paths) => paths.split(':')),
    exports: exported,
  };
}

function readPe(bytes) {
  const machines = { 0x8664: 'x64', 0xaa64: 'arm64' };
  const header = bytes.readUInt32LE(0x3c) + 4;
  const optional = header + 20;
  const sections = optional + bytes.readUInt16LE(header + 16);
  const parts = list(bytes.readUInt16LE(header + 2), (index) => {
    const [from, size, offset] = [12, 16, 20].map((field) =>
      bytes.readUInt32LE(sections + 40 * index + field),
    );
    return { from, size, offset };
  });
  const at = (address) => fileOffset(parts, address);
  const text = (address) => textAt(bytes, at(address));
  /** Of the directories: 0 has the exports, 1 the imports, 13 those that are loaded when called. */
  const directory = (index) => bytes.readUInt32LE(optional + 112 + 8 * index);
  const libraries = (index, size, field) => {
    const found = [];
    if (directory(index) === 0) return found;
    for (let entry = at(directory(index)); bytes.readUInt32LE(entry + field) !== 0; entry += size)
      found.push(text(bytes.readUInt32LE(entry + field)));
    return found;
  };
  const exported = () => {
    const table = at(directory(0));
    const names = at(bytes.readUInt32LE(table + 32));
    return list(bytes.readUInt32LE(table + 24), (index) =>
      text(bytes.readUInt32LE(names + 4 * index)),
    );
  };
  return {
    system: 'win32',
    machine: machines[bytes.readUInt16LE(header)],
    needs: [...libraries(1, 20, 12), ...libraries(13, 32, 4)],
    searches: [],
    exports: directory(0) === 0 ? [] : exported(),
  };
}

function readMachO(bytes) {
  const machines = { 0x1000007: 'x64', 0x100000c: 'arm64' };
  const commands = [];
  for (let at = 32; commands.length < bytes.readUInt32LE(16); at += bytes.readUInt32LE(at + 4))
    commands.push({ at, kind: bytes.readUInt32LE(at) });
  const found = (...kinds) => commands.filter(({ kind }) => kinds.includes(kind));
  const text = ({ at }) => textAt(bytes, at + bytes.readUInt32LE(at + 8));
  const exported = found(2).flatMap(({ at }) => {
    const [symbols, count, texts] = [8, 12, 16].map((field) => bytes.readUInt32LE(at + field));
    return list(count, (index) => symbols + 16 * index)
      .filter((symbol) => {
        const type = bytes[symbol + 4];
        const [isDebug, isPrivate, isExternal] = [0xe0, 0x10, 1].map((bits) => (type & bits) !== 0);
        return !isDebug && !isPrivate && isExternal && (type & 0xe) !== 0;
      })
      .map((symbol) => textAt(bytes, texts + bytes.readUInt32LE(symbol)).replace(/^_/, ''));
  });
  return {
    system: 'darwin',
    machine: machines[bytes.readUInt32LE(4)],
    needs: found(0xc, 0x80000018, 0x8000001f).map(text),
    searches: found(0x8000001c).map(text),
    exports: exported,
    signed: found(0x1d).length === 1,
  };
}

/**
 * @param {string} file a shared library or an addon of Node
 * @returns {Promise<import('./binaries.d.mts').Binary>}
 */
export async function readBinary(file) {
  const bytes = await readFile(file);
  const magic = bytes.length < 64 ? 0 : bytes.readUInt32LE(0);
  if (magic === 0x464c457f) return readElf(bytes);
  if ((magic & 0xffff) === 0x5a4d) return readPe(bytes);
  if (magic === 0xfeedfacf) return readMachO(bytes);
  throw new Failure(`${path.basename(file)} is no shared library of a system that is known.`);
}
