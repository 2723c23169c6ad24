package amd64

import (
	"encoding/binary"
	"errors"
	"slices"

	"goemu/tcg"
	"goemu/tcg/ir"
)

// The same guest code is often mapped at another address: programs and libraries are placed at random. Its code is then copied from that
// of the block made first. What depends on the program counter or on the place in the cache is noted while code is emitted; that nothing
// else does is found out by compiling the block once for a program counter that has nothing in common with the first.

// reloc is a place in a block's code that a copy must change.
type reloc struct {
	at   int // position in the block's bytes
	kind relocKind
	pc   uint64 // of relocJump
}

type relocKind uint8

const (
	relocPC    relocKind = iota // 8 bytes: a program counter
	relocImm                    // 8 bytes: an immediate, maybe made from the program counter
	relocCall                   // 4 bytes: the distance to a stub
	relocID                     // 8 bytes: the block's identity
	relocJump                   // 4 bytes: the offset of the entry for pc in the jump cache
	relocJump8                  // … of its second word
)

// size is how many bytes a relocation has.
func (k relocKind) size() int {
	switch k {
	case relocCall, relocJump, relocJump8:
		return 4
	}
	return 8
}

// note records that the last bytes emitted are a relocation.
func (a *Asm) note(k relocKind, pc uint64) {
	a.relocs = append(a.relocs, reloc{at: len(a.buf) - k.size(), kind: k, pc: pc})
}

// noteDisp records a displacement in the jump cache that ends the last instruction.
func (a *Asm) noteDisp(k relocKind, disp int32, pc uint64) {
	if disp != int32(int8(disp)) {
		a.note(k, pc)
	}
}

// jumpDisp is what relocJump and relocJump8 have for a program counter.
func jumpDisp(k relocKind, pc uint64) uint32 {
	d := uint32(jumpIndex(pc)) * jumpEntrySize
	if k == relocJump8 {
		d += 8
	}
	return d
}

// pattern makes copies of a block.
type pattern struct {
	e           *Engine
	pc          uint64
	start, size int // of the bytes in the cache
	entry       int // in the bytes
	exits       int
	relocs      []reloc
}

// Pattern implements tcg.Patterner.
func (e *Engine) Pattern(code tcg.Code, pc uint64, other *ir.Block) tcg.Pattern {
	p := &pattern{e: e, pc: pc, size: code.Size, entry: tableSize(other), exits: len(other.Exits)}
	p.start = int(code.Entry-e.cache.base) - p.entry
	first := slices.Clone(e.comp.relocs)
	start, err := e.emit(other, code.ID)
	c := &e.comp
	if err != nil || len(c.buf) != p.size || len(c.relocs) != len(first) || c.entry != p.entry {
		return nil
	}
	a, b := e.cache.rw[p.start:p.start+p.size], c.buf
	delta := other.PC - pc
	at := 0 // all before is compared
	for i, r := range first {
		if s := c.relocs[i]; r.at < at || s.at != r.at || s.kind != r.kind || !slices.Equal(a[at:r.at], b[at:r.at]) {
			return nil
		}
		at = r.at + r.kind.size()
		keep, ok := r.linear(a, b, p.start, start, delta)
		if !ok {
			return nil
		}
		if keep {
			p.relocs = append(p.relocs, r)
		}
	}
	if !slices.Equal(a[at:], b[at:]) {
		return nil
	}
	return p
}

// linear tells whether a relocation has the values that are to be expected in two blocks, and whether they depend on anything.
func (r *reloc) linear(a, b []byte, startA, startB int, delta uint64) (keep, ok bool) {
	if r.kind.size() == 4 {
		x, y := binary.LittleEndian.Uint32(a[r.at:]), binary.LittleEndian.Uint32(b[r.at:])
		if r.kind == relocCall {
			return true, x+uint32(startA) == y+uint32(startB)
		}
		return true, x == jumpDisp(r.kind, r.pc) && y == jumpDisp(r.kind, r.pc+delta)
	}
	x, y := binary.LittleEndian.Uint64(a[r.at:]), binary.LittleEndian.Uint64(b[r.at:])
	switch r.kind {
	case relocID:
		return true, x == y
	case relocImm:
		return x != y, x == y || y-x == delta
	}
	return true, y-x == delta
}

// Compile implements tcg.Pattern.
func (p *pattern) Compile(pc, id uint64) (tcg.Code, error) {
	cache := p.e.cache
	start := p.e.place(p.entry)
	cache.room(start + p.size)
	if start+p.size > len(cache.rw) {
		return tcg.Code{}, tcg.ErrFull{}
	}
	cache.next = (start + p.size + 7) &^ 7
	b := cache.rw[start : start+p.size]
	copy(b, cache.rw[p.start:])
	delta := pc - p.pc
	for _, r := range p.relocs {
		at := b[r.at:]
		switch r.kind {
		case relocPC, relocImm:
			putU64(at, binary.LittleEndian.Uint64(at)+delta)
		case relocCall:
			binary.LittleEndian.PutUint32(at, binary.LittleEndian.Uint32(at)+uint32(p.start-start))
		case relocID:
			putU64(at, id)
		case relocJump, relocJump8:
			binary.LittleEndian.PutUint32(at, jumpDisp(r.kind, r.pc+delta))
		}
	}
	code := tcg.Code{ID: id, Entry: cache.base + uintptr(start+p.entry), Size: p.size}
	for slot := range p.exits { // the first block's may be linked
		p.e.Unlink(code, slot)
	}
	return code, nil
}

// tableSize is the size of what is in front of a block's entry.
func tableSize(b *ir.Block) int { return len(b.Exits)*exitInfoSize + infoSize }

// place is where the bytes of the next block begin: the entry, behind the table, is aligned.
func (e *Engine) place(table int) int {
	start := e.cache.next
	return start + int(-(e.cache.base+uintptr(start)+uintptr(table))&(entryAlign-1))
}

// emit puts the code of a block behind what is in the cache, without keeping it, and returns where it starts.
func (e *Engine) emit(b *ir.Block, id uint64) (start int, err error) {
	c := &e.comp
	if start = e.place(tableSize(b)); start > len(e.cache.rw) {
		return 0, tcg.ErrFull{}
	}
	c.frugal = c.always
	e.cache.room(start + blockRoom)
	c.buf = e.cache.rw[start:start] // should the cache be full, appending moves the code to the heap
	if err = c.compile(b, id, e.cache.base+uintptr(start)); errors.Is(err, errRegisters) {
		c.frugal = true // every instruction finds all scratch registers free
		err = c.compile(b, id, e.cache.base+uintptr(start))
	}
	if err == nil && start+len(c.buf) > len(e.cache.rw) {
		err = tcg.ErrFull{}
	}
	return start, err
}
