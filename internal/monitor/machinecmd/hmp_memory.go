package machinecmd

import (
	"encoding/binary"
	"fmt"

	"goemu/accel/linear"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/monitor/hmp"
	"goemu/target/x86"
	front "goemu/tcg/frontend/x86"
)

// memoryReader reads memory at an address; false where nothing answers or no page is mapped.
type memoryReader func(addr uint64, p []byte) bool

// hmpDump is the commands x and xp.
func (s *Service) hmpDump(m *hmp.Monitor, a *hmp.Args, physical bool) error {
	count, format, size := a.Format()
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t, st := s.Machine(), s.cpuState(m)
	if st == nil && (format == 'i' || !physical) {
		m.Printf("Can not dump without CPU\n")
		return nil
	}
	read := func(addr uint64, p []byte) bool { return linear.Access(t.Space(st), st, addr, p, false) }
	if physical {
		read = func(addr uint64, p []byte) bool { return linear.Physical(t.Memory, addr, p, false) }
	}
	if format == 'i' {
		disassemble(m, st, read, uint64(a.Int("addr")), count)
		return nil
	}
	dump(m, read, uint64(a.Int("addr")), count, format, size)
	return nil
}

// Bytes on a line of a dump.
const lineBytes, lineSingle = 16, 8

// dump prints count units of size bytes.
func dump(m *hmp.Monitor, read memoryReader, addr uint64, count, format, size int) {
	line := lineBytes
	if size == 1 {
		line = lineSingle
	}
	left := size * count
	if format == 'c' {
		size = 1
	}
	var buf [lineBytes]byte
	for left > 0 {
		m.Printf("%016x:", addr)
		p := buf[:min(left, line)]
		clear(p)
		if !read(addr, p) {
			m.Printf(" Cannot access memory\n")
			return
		}
		for i := 0; i < len(p); i += size {
			var unit [8]byte
			copy(unit[:size], p[i:])
			m.Printf(" %s", unitText(binary.LittleEndian.Uint64(unit[:]), format, size))
		}
		m.Printf("\n")
		addr, left = addr+uint64(len(p)), left-len(p)
	}
}

// unitText is a unit of size bytes as a format shows it, in a column of the width that its largest value needs.
func unitText(v uint64, format, size int) string {
	bits := size * 8
	switch format {
	case 'o':
		return fmt.Sprintf("%#*o", (bits+2)/3, v)
	case 'u':
		return fmt.Sprintf("%*d", (bits*10+32)/33, v)
	case 'd':
		return fmt.Sprintf("%*d", (bits*10+32)/33, int64(v))
	case 'c':
		return hmp.CharText(byte(v))
	}
	return fmt.Sprintf("0x%0*x", bits/4, v)
}

// maxInstruction is the most bytes of an instruction.
const maxInstruction = 15

// disassemble prints count instructions.
func disassemble(m *hmp.Monitor, st *x86.State, read memoryReader, addr uint64, count int) {
	mode := uint8(2)
	switch {
	case st.Mode&x86.ModeCS64 != 0:
		mode = 8
	case st.Mode&x86.ModeCS32 != 0:
		mode = 4
	}
	for range count {
		var code []byte
		for len(code) < maxInstruction {
			var b [1]byte
			if !read(addr+uint64(len(code)), b[:]) {
				break
			}
			code = append(code, b[0])
		}
		if len(code) == 0 {
			m.Printf("0x%08x: unable to read memory\n", addr)
			return
		}
		text, n := front.Disassemble(code, addr, mode)
		m.Printf("0x%08x:  %-24s %s\n", addr, fmt.Sprintf("% x", code[:n]), text)
		addr += uint64(n)
	}
}

// hmpSum is the command sum: that of the BSD program.
func (s *Service) hmpSum(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	var sum uint16
	start, size := uint32(a.Int("start")), uint32(a.Int("size"))
	var b [1]byte
	for addr := start; addr < start+size; addr++ {
		s.Machine().Memory.Read(uint64(addr), b[:])
		sum = sum>>1 | sum<<15
		sum += uint16(b[0])
	}
	m.Printf("%05d\n", sum)
	return nil
}

// hmpTranslate is the command gva2gpa.
func (s *Service) hmpTranslate(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	st := s.cpuState(m)
	if st == nil {
		m.Printf("No cpu\n")
		return nil
	}
	addr := uint64(a.Int("addr"))
	page, ok := linear.Map(s.Machine().Space(st), st).Lookup(addr)
	if !ok {
		m.Printf("Unmapped\n")
		return nil
	}
	m.Printf("gpa: %s\n", hmp.Hex(page.Phys+addr&(page.Size-1)))
	return nil
}

// hostAddress finds the block of RAM at a physical address and the place in it. Preconditions: the machine lock is held.
func (t *Target) hostAddress(addr uint64) (r *memory.Range, off uint64, err error) {
	r = t.Memory.View().Find(addr)
	switch {
	case r == nil:
		return nil, 0, fmt.Errorf("No memory is mapped at address 0x%x", addr)
	case r.RAM == nil:
		return nil, 0, fmt.Errorf("Memory at address 0x%x is not RAM", addr)
	}
	return r, r.Offset + addr - r.Start, nil
}

// hmpHostAddress is the command gpa2hva.
func (s *Service) hmpHostAddress(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	addr := uint64(a.Int("addr"))
	r, off, err := s.Machine().hostAddress(addr)
	if err != nil {
		m.Printf("%v\n", err)
		return nil
	}
	m.Printf("Host virtual address for 0x%x (%s) is %p\n", addr, r.Region.Name(), &r.RAM.Bytes()[off])
	return nil
}

// hmpHostPhysical is the command gpa2hpa.
func (s *Service) hmpHostPhysical(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	addr := uint64(a.Int("addr"))
	var at uint64
	r, off, err := s.Machine().hostAddress(addr)
	if err == nil {
		at, err = r.RAM.HostPhysical(off)
	}
	if err != nil {
		m.Printf("%v\n", err)
		return nil
	}
	m.Printf("Host physical address for 0x%x (%s) is 0x%x\n", addr, r.Region.Name(), at)
	return nil
}

// portMask bounds the numbers of ports.
const portMask = 0xffff

// portSize is the width of an access to a port that a format asks for, with its letter.
func portSize(size int) (width int, letter byte) {
	switch size {
	case 2:
		return 2, 'w'
	case 4:
		return 4, 'l'
	}
	return 1, 'b'
}

// hmpIn is the command i, which acts as a CPU does. An index is written to the port first, and the next one is read.
func (s *Service) hmpIn(m *hmp.Monitor, a *hmp.Args) error {
	t, port := s.Machine(), uint64(a.Int("addr"))
	_, _, size := a.Format()
	if a.Has("index") {
		t.Ports.BusStore(port&portMask, 1, uint64(a.Int("index"))&0xff)
		port++
	}
	port &= portMask
	width, letter := portSize(size)
	v, _ := t.Ports.BusLoad(port, width)
	m.Printf("port%c[0x%04x] = 0x%0*x\n", letter, port, max(size, 1)*2, v)
	return nil
}

// hmpOut is the command o.
func (s *Service) hmpOut(_ *hmp.Monitor, a *hmp.Args) error {
	_, _, size := a.Format()
	width, _ := portSize(size)
	s.Machine().Ports.BusStore(uint64(a.Int("addr"))&portMask, width, uint64(uint32(a.Int("val"))))
	return nil
}

// infoMem lists ranges of pages that have the same rights.
func (s *Service) infoMem(m *hmp.Monitor, _ *hmp.Args) error {
	return s.paging(m, func(pages *x86.PageMap) {
		var start, end, rights uint64
		flush := func() {
			if end != start {
				m.Printf("%016x-%016x %016x %cr%c\n", pages.Canonical(start), pages.Canonical(end), pages.Canonical(end-start), x86.Letter(rights, x86.PTEUser, 'u'), x86.Letter(rights, x86.PTEWrite, 'w'))
			}
		}
		pages.Walk(func(p x86.Page) {
			r := p.Rights & (x86.PTEUser | x86.PTEWrite)
			if p.Addr != end || r != rights || start == end {
				flush()
				start, rights = p.Addr, r
			}
			end = p.Addr + p.Size
		})
		flush()
	})
}

// infoTLB lists pages.
func (s *Service) infoTLB(m *hmp.Monitor, _ *hmp.Args) error {
	return s.paging(m, func(pages *x86.PageMap) {
		pages.Walk(func(p x86.Page) {
			e := p.Entry
			if p.Size == 1<<12 { // the bit means something else there
				e &^= x86.PTEPS
			}
			m.Printf("%016x: %016x ", pages.Canonical(p.Addr), p.Phys)
			for _, f := range []struct {
				bit    uint64
				letter byte
			}{{x86.PTENX, 'X'}, {1 << 8, 'G'}, {x86.PTEPS, 'P'}, {1 << 6, 'D'}, {1 << 5, 'A'}, {1 << 4, 'C'}, {1 << 3, 'T'}, {x86.PTEUser, 'U'}, {x86.PTEWrite, 'W'}} {
				m.Printf("%c", x86.Letter(e, f.bit, f.letter))
			}
			m.Printf("\n")
		})
	})
}

// paging calls f with the page tables of the monitor's CPU if they are in use.
func (s *Service) paging(m *hmp.Monitor, f func(*x86.PageMap)) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	st := s.cpuState(m)
	switch {
	case st == nil:
		m.Printf("No CPU available\n")
	case st.CR0&x86.CR0PG == 0:
		m.Printf("PG disabled\n")
	default:
		f(linear.Map(s.Machine().Space(st), st))
	}
	return nil
}

// infoTree is the command info mtree.
func (s *Service) infoTree(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if a.Bool("flatview") {
		memory.PrintViews(m)
	} else {
		memory.PrintTrees(m, a.Bool("disabled"))
	}
	return nil
}
