package dump

import (
	"bytes"
	"encoding/binary"

	"goemu/target/x86"
)

// ntPRStatus is the type of notes with a thread's general registers.
const ntPRStatus = 1

// regs64 is Linux's struct user_regs_struct of x86-64.
type regs64 struct {
	R15, R14, R13, R12, BP, BX, R11, R10, R9, R8, AX, CX, DX, SI, DI, OrigAX, IP, CS, Flags, SP, SS, FSBase, GSBase, DS, ES, FS, GS uint64
}

// prStatus64 is Linux's struct elf_prstatus of x86-64; what is not filled in stays zero.
type prStatus64 struct {
	_    [32]byte
	PID  uint32
	_    [76]byte
	Regs regs64
	_    [8]byte
}

// regs32 is Linux's struct user_regs_struct of i386.
type regs32 struct{ BX, CX, DX, SI, DI, BP, AX, DS, ES, FS, GS, OrigAX, IP, CS, Flags, SP, SS uint32 }

// prStatus32 is Linux's struct elf_prstatus of i386.
type prStatus32 struct {
	_    [24]byte
	PID  uint32
	_    [44]byte
	Regs regs32
	_    [4]byte
}

// segment is a segment register in QEMU's note.
type segment struct {
	Selector, Limit, Flags, _ uint32
	Base                      uint64
}

// cpuState is QEMU's note about a CPU, version 1.
type cpuState struct {
	Version, Size                                                        uint32
	AX, BX, CX, DX, SI, DI, SP, BP, R8, R9, R10, R11, R12, R13, R14, R15 uint64
	IP, Flags                                                            uint64
	CS, DS, ES, FS, GS, SS, LDT, TR, GDT, IDT                            segment
	CR                                                                   [5]uint64
	KernelGSBase                                                         uint64
}

// Numbers of general registers.
const (
	ax = iota
	cx
	dx
	bx
	sp
	bp
	si
	di
)

// notes are the registers of all CPUs: first as of Linux's threads, then what only QEMU's note has.
func (e *Core) notes() []byte {
	var b bytes.Buffer
	for i, st := range e.CPUs {
		if e.long() {
			note(&b, "CORE", ntPRStatus, status64(st, uint32(i+1)))
		} else {
			note(&b, "CORE", ntPRStatus, status32(st, uint32(i+1)))
		}
	}
	for _, st := range e.CPUs {
		note(&b, "QEMU", 0, qemuState(st))
	}
	if e.Guest != nil {
		b.Write(e.Guest.bytes)
	}
	return b.Bytes()
}

// note appends a note: sizes and type, the name and the descriptor, each padded to a multiple of four bytes.
func note(b *bytes.Buffer, name string, typ uint32, desc any) {
	var head [12]byte
	le.PutUint32(head[0:], uint32(len(name)+1))
	le.PutUint32(head[4:], uint32(binary.Size(desc)))
	le.PutUint32(head[8:], typ)
	b.Write(head[:])
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	b.WriteString(name + "\x00")
	pad()
	_ = binary.Write(b, le, desc) // a buffer takes everything
	pad()
}

func status64(st *x86.State, pid uint32) *prStatus64 {
	r, s := &st.Regs, &st.Seg
	return &prStatus64{PID: pid, Regs: regs64{R15: r[15], R14: r[14], R13: r[13], R12: r[12], BP: r[bp], BX: r[bx], R11: r[11], R10: r[10], R9: r[9], R8: r[8],
		AX: r[ax], CX: r[cx], DX: r[dx], SI: r[si], DI: r[di], IP: st.RIP, CS: uint64(s[x86.CS].Selector), Flags: st.RFLAGS, SP: r[sp], SS: uint64(s[x86.SS].Selector),
		FSBase: s[x86.FS].Base, GSBase: s[x86.GS].Base, DS: uint64(s[x86.DS].Selector), ES: uint64(s[x86.ES].Selector), FS: uint64(s[x86.FS].Selector), GS: uint64(s[x86.GS].Selector)}}
}

func status32(st *x86.State, pid uint32) *prStatus32 {
	r, s := &st.Regs, &st.Seg
	return &prStatus32{PID: pid, Regs: regs32{BX: uint32(r[bx]), CX: uint32(r[cx]), DX: uint32(r[dx]), SI: uint32(r[si]), DI: uint32(r[di]), BP: uint32(r[bp]), AX: uint32(r[ax]),
		DS: s[x86.DS].Selector, ES: s[x86.ES].Selector, FS: s[x86.FS].Selector, GS: s[x86.GS].Selector, IP: uint32(st.RIP), CS: s[x86.CS].Selector,
		Flags: uint32(st.RFLAGS), SP: uint32(r[sp]), SS: s[x86.SS].Selector}}
}

func qemuState(st *x86.State) *cpuState {
	seg := func(s x86.SegmentState) segment {
		return segment{Selector: s.Selector, Limit: s.Limit, Flags: s.Flags, Base: s.Base}
	}
	r, s := &st.Regs, &st.Seg
	c := &cpuState{Version: 1, AX: r[ax], BX: r[bx], CX: r[cx], DX: r[dx], SI: r[si], DI: r[di], SP: r[sp], BP: r[bp], R8: r[8], R9: r[9], R10: r[10], R11: r[11],
		R12: r[12], R13: r[13], R14: r[14], R15: r[15], IP: st.RIP, Flags: st.RFLAGS,
		CS: seg(s[x86.CS]), DS: seg(s[x86.DS]), ES: seg(s[x86.ES]), FS: seg(s[x86.FS]), GS: seg(s[x86.GS]), SS: seg(s[x86.SS]), LDT: seg(s[x86.LDTR]), TR: seg(s[x86.TR]),
		GDT: seg(st.GDT), IDT: seg(st.IDT), CR: [5]uint64{st.CR0, 0, st.CR2, st.CR3, st.CR4}, KernelGSBase: st.KernelGSBase}
	c.Size = uint32(binary.Size(c))
	return c
}
