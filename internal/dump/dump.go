// Package dump writes the memory of a guest and the registers of its CPUs to a core file: to an ELF file, as crash and gdb read it, notes first,
// then a segment for each range of memory; or compressed, as makedumpfile does. The layout is QEMU's, the notes are Linux's (elf.h,
// NT_PRSTATUS) and QEMU's own.
package dump

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"sync/atomic"

	"goemu/internal/memory"
	"goemu/target/x86"
)

var le = binary.LittleEndian

// Block is a range of physical memory.
type Block struct {
	Addr  uint64
	Bytes []byte
}

// Blocks are the RAM and ROM of an address space within [begin, begin+length), all of it if length is 0, in ascending order.
func Blocks(as *memory.AddressSpace, begin, length uint64) (list []Block) {
	for _, r := range as.View().Ranges {
		if r.RAM == nil {
			continue
		}
		from, to := r.Start, r.Last+1
		if length != 0 {
			from, to = max(from, begin), min(to, begin+length)
		}
		if from >= to {
			continue
		}
		b := r.RAM.Bytes()[r.Offset+from-r.Start:][:to-from]
		if n := len(list); n > 0 && list[n-1].end() == from && adjacent(list[n-1].Bytes, b) {
			list[n-1].Bytes = list[n-1].Bytes[:len(list[n-1].Bytes)+len(b)]
			continue
		}
		list = append(list, Block{from, b})
	}
	return list
}

func (b *Block) end() uint64 { return b.Addr + uint64(len(b.Bytes)) }

// adjacent tells whether b follows a in the same memory.
func adjacent(a, b []byte) bool { return cap(a) >= len(a)+len(b) && &a[:len(a)+1][len(a)] == &b[0] }

// Mapping is a range of linear addresses that a physical range is seen at.
type Mapping struct{ Virt, Phys, Size uint64 }

// Mappings are what the page tables of CPUs map, neighbours joined; without any paging, memory as it lies.
func Mappings(maps []*x86.PageMap, blocks []Block) (list []Mapping) {
	for _, m := range maps {
		m.Walk(func(p x86.Page) {
			at := m.Canonical(p.Addr)
			if n := len(list); n > 0 && list[n-1].Virt+list[n-1].Size == at && list[n-1].Phys+list[n-1].Size == p.Phys {
				list[n-1].Size += p.Size
				return
			}
			list = append(list, Mapping{at, p.Phys, p.Size})
		})
	}
	if len(list) == 0 {
		for _, b := range blocks {
			list = append(list, Mapping{b.Addr, b.Addr, uint64(len(b.Bytes))})
		}
	}
	slices.SortStableFunc(list, func(a, b Mapping) int {
		if a.Virt < b.Virt {
			return -1
		}
		return 1
	})
	return slices.Compact(list)
}

// Error tells what could not be written, and why if Err is not nil.
type Error struct {
	What string
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns what the host says.
func (e *Error) Unwrap() error { return e.Err }

// Core is a core file to be written.
type Core struct {
	Blocks   []Block
	Mappings []Mapping // nil: segments are the blocks, at linear addresses that are the physical ones
	CPUs     []*x86.State
	Wide     bool       // the file is of the class of 64 bits even if the CPUs do not need it
	Guest    *GuestNote // nil: there is none

	written atomic.Uint64
}

// Total is the number of bytes of memory in the file, Written how many of them are there already.
func (e *Core) Total() (n uint64) {
	for i := range e.Blocks {
		n += uint64(len(e.Blocks[i].Bytes))
	}
	return n
}

// Written is how much of Total has been written.
func (e *Core) Written() uint64 { return e.written.Load() }

// long tells whether the first CPU is in long mode, which decides what kind of machine the file is of.
func (e *Core) long() bool { return len(e.CPUs) > 0 && e.CPUs[0].Mode&x86.ModeLMA != 0 }

// Far tells whether any of the blocks ends where 32 bits do not reach.
func Far(blocks []Block) bool {
	return slices.ContainsFunc(blocks, func(b Block) bool { return b.end() > math.MaxUint32 })
}

// wide tells whether the file is of the class of 64 bits.
func (e *Core) wide() bool { return e.long() || e.Wide || Far(e.Blocks) }

// part is a segment: Offset is -1 if the file does not hold its memory.
type part struct {
	virt, phys, size uint64
	offset           int64
}

// parts are the segments, for memory that begins at start in the file.
func (e *Core) parts(start uint64) (list []part) {
	if e.Mappings == nil {
		for _, b := range e.Blocks {
			list = append(list, part{b.Addr, b.Addr, uint64(len(b.Bytes)), int64(start)})
			start += uint64(len(b.Bytes))
		}
		return list
	}
	for _, m := range e.Mappings {
		p := part{m.Virt, m.Phys, m.Size, -1}
		at := start
		for i := range e.Blocks {
			b := &e.Blocks[i]
			if b.Addr <= m.Phys && m.Phys < b.end() {
				p.offset = int64(at + m.Phys - b.Addr)
				break
			}
			at += uint64(len(b.Bytes))
		}
		list = append(list, p)
	}
	return list
}

// filled is how many bytes of a segment the file holds.
func (e *Core) filled(p part) uint64 {
	if p.offset < 0 {
		return 0
	}
	for i := range e.Blocks {
		if b := &e.Blocks[i]; b.Addr <= p.phys && p.phys < b.end() {
			return min(p.size, b.end()-p.phys)
		}
	}
	return 0
}

// maxSegments is how many segments a header can count by itself.
const maxSegments = 0xffff

// chunk is how much is written at once.
const chunk = 1 << 20

// Write writes the file.
func (e *Core) Write(w io.Writer) error {
	head, err := e.header()
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return &Error{"dump: failed to write elf header", err}
	}
	for i := range e.Blocks {
		for b := e.Blocks[i].Bytes; len(b) > 0; {
			n, err := w.Write(b[:min(len(b), chunk)])
			e.written.Add(uint64(n))
			if err != nil {
				return &Error{"dump: failed to save memory", err}
			}
			b = b[n:]
		}
	}
	return nil
}

// header is everything before the memory.
func (e *Core) header() ([]byte, error) {
	notes := e.notes()
	count := len(e.parts(0)) + 1
	if count >= maxSegments {
		return nil, fmt.Errorf("dump: %d segments do not fit into an ELF header", count)
	}
	var b bytes.Buffer
	var err error
	put := func(v any) {
		if err == nil {
			err = binary.Write(&b, le, v)
		}
	}
	if e.wide() {
		const headSize, progSize = 64, 56
		put(elf.Header64{Ident: e.ident(elf.ELFCLASS64), Type: uint16(elf.ET_CORE), Machine: uint16(e.machine()), Version: uint32(elf.EV_CURRENT),
			Phoff: headSize, Ehsize: headSize, Phentsize: progSize, Phnum: uint16(count)})
		at := uint64(headSize + progSize*count)
		put(elf.Prog64{Type: uint32(elf.PT_NOTE), Off: at, Filesz: uint64(len(notes)), Memsz: uint64(len(notes))})
		for _, p := range e.parts(at + uint64(len(notes))) {
			put(elf.Prog64{Type: uint32(elf.PT_LOAD), Off: uint64(max(p.offset, 0)), Vaddr: p.virt, Paddr: p.phys, Filesz: e.filled(p), Memsz: p.size})
		}
	} else {
		const headSize, progSize = 52, 32
		put(elf.Header32{Ident: e.ident(elf.ELFCLASS32), Type: uint16(elf.ET_CORE), Machine: uint16(e.machine()), Version: uint32(elf.EV_CURRENT),
			Phoff: headSize, Ehsize: headSize, Phentsize: progSize, Phnum: uint16(count)})
		at := uint64(headSize + progSize*count)
		put(elf.Prog32{Type: uint32(elf.PT_NOTE), Off: uint32(at), Filesz: uint32(len(notes)), Memsz: uint32(len(notes))})
		for _, p := range e.parts(at + uint64(len(notes))) {
			put(elf.Prog32{Type: uint32(elf.PT_LOAD), Off: uint32(max(p.offset, 0)), Vaddr: uint32(p.virt), Paddr: uint32(p.phys), Filesz: uint32(e.filled(p)), Memsz: uint32(p.size)})
		}
	}
	b.Write(notes)
	return b.Bytes(), err
}

func (e *Core) ident(class elf.Class) (id [elf.EI_NIDENT]byte) {
	copy(id[:], elf.ELFMAG)
	id[elf.EI_CLASS], id[elf.EI_DATA], id[elf.EI_VERSION] = byte(class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	return id
}

func (e *Core) machine() elf.Machine {
	if e.long() {
		return elf.EM_X86_64
	}
	return elf.EM_386
}
