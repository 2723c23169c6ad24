package loader

import (
	"encoding/binary"
	"errors"
)

// ELF constants (System V ABI).
const (
	elfMagic        = "\x7fELF"
	elfClass32      = 1
	elfClass64      = 2
	elfDataLE       = 1
	elfTypeExec     = 2
	elfTypeDyn      = 3
	elfMachine386   = 3
	elfMachineX8664 = 62
	ptLoad          = 1
	ptNote          = 4
	phEntry32       = 32
	phEntry64       = 56
	elfHeader32     = 52
	elfHeader64     = 64
)

// errELF is the answer to an ELF file that is damaged or not for this machine.
var errELF = errors.New("Error while loading elf kernel")

// programHeader is one entry of the program header table, of either class.
type programHeader struct {
	kind                               uint32
	offset, vaddr, paddr, fsize, msize uint64
	align                              uint64
}

// elfFile is a parsed ELF executable.
type elfFile struct {
	data     []byte
	class64  bool
	machine  uint16
	entry    uint64
	programs []programHeader
}

func isELF(b []byte) bool { return len(b) >= 4 && string(b[:4]) == elfMagic }

// parseELF reads the headers; every program header's file range lies inside the file afterwards.
func parseELF(b []byte) (*elfFile, error) {
	le := binary.LittleEndian
	if !isELF(b) || len(b) < elfHeader32 || b[5] != elfDataLE {
		return nil, errELF
	}
	f := &elfFile{data: b, class64: b[4] == elfClass64, machine: le.Uint16(b[18:])}
	var phoff uint64
	var phentsize, phnum int
	switch {
	case f.class64 && len(b) >= elfHeader64:
		f.entry, phoff = le.Uint64(b[24:]), le.Uint64(b[32:])
		phentsize, phnum = int(le.Uint16(b[54:])), int(le.Uint16(b[56:]))
	case b[4] == elfClass32:
		f.entry, phoff = uint64(le.Uint32(b[24:])), uint64(le.Uint32(b[28:]))
		phentsize, phnum = int(le.Uint16(b[42:])), int(le.Uint16(b[44:]))
	default:
		return nil, errELF
	}
	if t := le.Uint16(b[16:]); t != elfTypeExec && t != elfTypeDyn {
		return nil, errELF
	}
	return f, f.readPrograms(phoff, phentsize, phnum)
}

func (f *elfFile) readPrograms(off uint64, size, count int) error {
	want := phEntry32
	if f.class64 {
		want = phEntry64
	}
	if count == 0 || size < want || off > uint64(len(f.data)) || uint64(size*count) > uint64(len(f.data))-off {
		return errELF
	}
	for i := range count {
		p := f.program(f.data[off+uint64(i*size):])
		if (p.kind == ptLoad || p.kind == ptNote) && (p.offset > uint64(len(f.data)) || p.fsize > uint64(len(f.data))-p.offset) {
			return errELF
		}
		if p.kind == ptLoad && (p.fsize > p.msize || p.paddr+p.msize < p.paddr) {
			return errELF
		}
		f.programs = append(f.programs, p)
	}
	return nil
}

func (f *elfFile) program(b []byte) programHeader {
	le := binary.LittleEndian
	if f.class64 {
		return programHeader{kind: le.Uint32(b), offset: le.Uint64(b[8:]), vaddr: le.Uint64(b[16:]), paddr: le.Uint64(b[24:]),
			fsize: le.Uint64(b[32:]), msize: le.Uint64(b[40:]), align: le.Uint64(b[48:])}
	}
	u := func(o int) uint64 { return uint64(le.Uint32(b[o:])) }
	return programHeader{kind: le.Uint32(b), offset: u(4), vaddr: u(8), paddr: u(12), fsize: u(16), msize: u(20), align: u(28)}
}

// addELF appends the loadable segments and returns the end of the highest one.
func (im *Image) addELF(f *elfFile) (end uint64, err error) {
	for _, p := range f.programs {
		if p.kind != ptLoad || p.msize == 0 {
			continue
		}
		im.Segments = append(im.Segments, Segment{Name: "kernel", Addr: p.paddr, Data: f.data[p.offset : p.offset+p.fsize], Size: p.msize})
		end = max(end, p.paddr+p.msize)
	}
	if end == 0 {
		return 0, errELF
	}
	return end, nil
}

// note finds the descriptor of a note by owner and type.
func (f *elfFile) note(owner string, kind uint32) ([]byte, bool) {
	for _, p := range f.programs {
		if p.kind != ptNote {
			continue
		}
		align := uint64(4)
		if p.align == 8 {
			align = 8
		}
		if d, ok := findNote(f.data[p.offset:p.offset+p.fsize], owner, kind, align); ok {
			return d, true
		}
	}
	return nil, false
}

// findNote walks a note segment.
func findNote(b []byte, owner string, kind uint32, align uint64) ([]byte, bool) {
	const header = 12
	le := binary.LittleEndian
	for len(b) >= header {
		nameSize, descSize, t := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), le.Uint32(b[8:])
		desc := alignUp(header+nameSize, align)
		if desc+descSize > uint64(len(b)) {
			return nil, false
		}
		if t == kind && string(b[header:header+nameSize]) == owner+"\x00" {
			return b[desc : desc+descSize], true
		}
		b = b[min(alignUp(desc+descSize, align), uint64(len(b))):]
	}
	return nil, false
}
