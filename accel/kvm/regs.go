package kvm

import (
	"goemu/accel"
	"goemu/target/x86"
)

// get and set make a request with a structure.
func get[T any](c *CPU, r request, v *T) error {
	if _, err := c.k.ioctlData(c.fd, r, bytesOf(v)); err != nil {
		return requestError(r, err)
	}
	return nil
}

func set[T any](c *CPU, r request, v T) error { return get(c, r, &v) }

func (c *CPU) pullRegs() error {
	var r regs
	if err := get(c, reqGetRegs, &r); err != nil {
		return err
	}
	s := &c.rest
	s.Regs = [16]uint64{r.RAX, r.RCX, r.RDX, r.RBX, r.RSP, r.RBP, r.RSI, r.RDI}
	copy(s.Regs[8:], r.R8[:])
	s.RIP, s.RFLAGS = r.RIP, r.RFLAGS
	return nil
}

func (c *CPU) pushRegs() error {
	g := &c.rest.Regs
	r := regs{RAX: g[x86.RAX], RBX: g[x86.RBX], RCX: g[x86.RCX], RDX: g[x86.RDX], RSI: g[x86.RSI], RDI: g[x86.RDI], RSP: g[x86.RSP], RBP: g[x86.RBP],
		RIP: c.rest.RIP, RFLAGS: c.rest.RFLAGS}
	copy(r.R8[:], g[8:])
	return set(c, reqSetRegs, r)
}

// Fields of a descriptor's upper half that the kernel has apart.
const (
	flagS        = 1 << 12
	flagP        = 1 << 15
	flagAVL      = 1 << 20
	flagL        = 1 << 21
	flagDB       = 1 << 22
	flagG        = 1 << 23
	typeShift    = 8
	dplShift     = 13
	privilege3   = 3
	vm86Type     = 3 // data, writable, accessed
	maxVM86Limit = 0xffff
)

// segments pairs the kernel's segment registers with ours.
func (r *sregsHead) segments() [x86.NumSegs]*segment {
	return [x86.NumSegs]*segment{x86.ES: &r.ES, x86.CS: &r.CS, x86.SS: &r.SS, x86.DS: &r.DS, x86.FS: &r.FS, x86.GS: &r.GS, x86.LDTR: &r.LDT, x86.TR: &r.TR}
}

func bit(on bool) uint8 {
	if on {
		return 1
	}
	return 0
}

// fromSegment and toSegment convert a segment register.
func fromSegment(g *segment) x86.SegmentState {
	f := uint32(g.Type)<<typeShift | uint32(g.DPL)<<dplShift | uint32(g.S)*flagS | uint32(g.AVL)*flagAVL | uint32(g.L)*flagL | uint32(g.DB)*flagDB | uint32(g.G)*flagG
	if g.Present != 0 && g.Unusable == 0 {
		f |= flagP
	}
	return x86.SegmentState{Selector: uint32(g.Selector), Base: g.Base, Limit: g.Limit, Flags: f}
}

func toSegment(s *x86.SegmentState) segment {
	f := s.Flags
	return segment{Base: s.Base, Limit: s.Limit, Selector: uint16(s.Selector), Type: uint8(f >> typeShift & 15), DPL: uint8(f >> dplShift & 3), S: bit(f&flagS != 0),
		AVL: bit(f&flagAVL != 0), L: bit(f&flagL != 0), DB: bit(f&flagDB != 0), G: bit(f&flagG != 0), Present: bit(f&flagP != 0), Unusable: bit(f&flagP == 0)}
}

// vm86Segment is a segment register in virtual-8086 mode, where only the selector says anything.
func vm86Segment(s *x86.SegmentState) segment {
	return segment{Base: uint64(s.Selector) << 4, Limit: maxVM86Limit, Selector: uint16(s.Selector), Type: vm86Type, Present: 1, DPL: privilege3, S: 1}
}

func (c *CPU) pullSregs() error {
	s := &c.rest
	s.PDPTRValid, s.PDPTR = false, [4]uint64{}
	if c.accel.h.has(capSregs2) {
		var r sregs2
		if err := get(c, reqGetSregs2, &r); err != nil {
			return err
		}
		c.takeSregs(&r.sregsHead)
		if s.PDPTRValid = r.Flags&sregsPDPTR != 0; s.PDPTRValid {
			s.PDPTR, c.pdptrFor = r.PDPTR, s.CR3
		}
		return nil
	}
	var r sregs
	if err := get(c, reqGetSregs, &r); err != nil {
		return err
	}
	c.takeSregs(&r.sregsHead)
	return nil
}

func (c *CPU) takeSregs(r *sregsHead) {
	s := &c.rest
	for i, g := range r.segments() {
		s.Seg[i] = fromSegment(g)
	}
	s.GDT, s.IDT = x86.SegmentState{Base: r.GDT.Base, Limit: uint32(r.GDT.Limit)}, x86.SegmentState{Base: r.IDT.Base, Limit: uint32(r.IDT.Limit)}
	c.base = r.APICBase
	s.CR0, s.CR2, s.CR3, s.CR4, s.EFER = r.CR0, r.CR2, r.CR3, r.CR4, r.EFER
}

// apicBase is IA32_APIC_BASE.
func (c *CPU) apicBase() uint64 {
	switch {
	case c.ic != nil:
		return c.ic.Base()
	case c.keeper != nil:
		return c.keeper.Registers(new(accel.LocalPage))
	}
	return 0
}

func (c *CPU) pushSregs() error {
	s := &c.rest
	var r sregsHead
	c.giveSregs(&r)
	if c.accel.h.has(capSregs2) {
		r := sregs2{sregsHead: r, PDPTR: s.PDPTR}
		if s.PDPTRValid && s.CR3 == c.pdptrFor && s.CR0&x86.CR0PG != 0 && s.CR4&x86.CR4PAE != 0 && s.EFER&x86.EFERLMA == 0 {
			r.Flags = sregsPDPTR
		}
		return set(c, reqSetSregs2, r)
	}
	old := sregs{sregsHead: r}
	if n := s.InterruptInjected; n >= 0 && n < 256 {
		old.Interrupts[n/64] |= 1 << (n % 64)
	}
	return set(c, reqSetSregs, old)
}

func (c *CPU) giveSregs(r *sregsHead) {
	s := &c.rest
	for i, g := range r.segments() {
		if s.RFLAGS&x86.FlagVM != 0 && i < x86.LDTR {
			*g = vm86Segment(&s.Seg[i])
		} else {
			*g = toSegment(&s.Seg[i])
		}
	}
	r.GDT, r.IDT = table{Base: s.GDT.Base, Limit: uint16(s.GDT.Limit)}, table{Base: s.IDT.Base, Limit: uint16(s.IDT.Limit)}
	r.CR0, r.CR2, r.CR3, r.CR4, r.EFER = s.CR0, s.CR2, s.CR3, s.CR4, s.EFER
	r.APICBase = c.apicBase()
	if c.ic != nil {
		r.CR8 = uint64(c.ic.TPR() >> 4)
	} else if c.keeper != nil {
		r.CR8 = uint64(c.keeper.TPR() >> 4)
	}
}

func (c *CPU) pullXcrs() error {
	c.rest.XCR0 = x86.XFeatX87
	if !c.accel.opt.Config.Features.Has(x86.FeatXSAVE) {
		return nil
	}
	var x xcrs
	if err := get(c, reqGetXcrs, &x); err != nil {
		return err
	}
	for i := range min(int(x.N), len(x.X)) {
		if x.X[i].Index == 0 {
			c.rest.XCR0 = x.X[i].Value
		}
	}
	return nil
}

func (c *CPU) pushXcrs() error {
	if !c.accel.opt.Config.Features.Has(x86.FeatXSAVE) {
		return nil
	}
	x := xcrs{N: 1}
	x.X[0].Value = c.rest.XCR0
	return set(c, reqSetXcrs, x)
}

func (c *CPU) pullDebugRegs() error {
	var d debugRegs
	if err := get(c, reqGetDebugRegs, &d); err != nil {
		return err
	}
	copy(c.rest.DR[:], d.DB[:])
	c.rest.DR[6], c.rest.DR[7] = d.DR6, d.DR7
	return nil
}

func (c *CPU) pushDebugRegs() error {
	d := debugRegs{DR6: c.rest.DR[6], DR7: c.rest.DR[7]}
	copy(d.DB[:], c.rest.DR[:])
	return set(c, reqSetDebugRegs, d)
}

// pullActivity and pushActivity exchange whether the CPU executes. Without interrupt controllers in the kernel that is decided here.
func (c *CPU) pullActivity() error {
	c.rest.MPState = mpRunnable
	if !c.accel.localInKernel() {
		return nil
	}
	return get(c, reqGetMPState, &c.rest.MPState)
}

func (c *CPU) pushActivity() error {
	if !c.accel.localInKernel() {
		return nil
	}
	return set(c, reqSetMPState, c.rest.MPState)
}

func (c *CPU) pullEvents() error {
	var e events
	if err := get(c, reqGetEvents, &e); err != nil {
		return err
	}
	s := &c.rest
	s.ExceptionNr, s.HasErrorCode = -1, 0
	if e.ExceptionInjected != 0 || e.ExceptionPending != 0 {
		s.ExceptionNr, s.HasErrorCode = int32(e.ExceptionNr), e.ExceptionHasError
	}
	c.errorCode = e.ExceptionError
	s.InterruptInjected, s.SoftInterrupt = -1, e.IntSoft
	if e.IntInjected != 0 {
		s.InterruptInjected = int32(e.IntNr)
	}
	if e.IntShadow != 0 {
		s.Mode |= x86.ModeInhibit
	}
	s.NMIInjected, s.NMIPending = e.NMIInjected, e.NMIPending
	if e.NMIMasked != 0 {
		s.Mode2 |= x86.Mode2NMI
	}
	s.SIPIVector = e.SIPIVector
	s.TripleFault = e.TripleFault
	c.latchedINIT = e.LatchedINIT
	if e.SMM != 0 {
		s.Mode |= x86.ModeSMM
	}
	if e.SMMInsideNMI != 0 {
		s.Mode2 |= x86.Mode2SMMInsideNMI
	}
	if e.SMIPending != 0 { // taken back: it goes in again before the guest is entered
		c.lines.Or(uint32(accel.IRQSMI))
	}
	return nil
}

func (c *CPU) pushEvents() error {
	s := &c.rest
	e := events{ExceptionError: c.errorCode, ExceptionHasError: s.HasErrorCode, IntSoft: s.SoftInterrupt, NMIInjected: s.NMIInjected, NMIPending: s.NMIPending,
		NMIMasked: bit(s.Mode2&x86.Mode2NMI != 0), SIPIVector: s.SIPIVector, Flags: eventShadow}
	if s.ExceptionNr >= 0 {
		e.ExceptionInjected, e.ExceptionNr = 1, uint8(s.ExceptionNr)
	}
	if s.InterruptInjected >= 0 {
		e.IntInjected, e.IntNr = 1, uint8(s.InterruptInjected)
	}
	if s.Mode&x86.ModeInhibit != 0 {
		e.IntShadow = shadowSTI
	}
	if c.whole {
		e.Flags |= eventNMIPending | eventSIPI
	}
	if c.accel.smm {
		e.SMM, e.SMMInsideNMI, e.LatchedINIT = bit(s.Mode&x86.ModeSMM != 0), bit(s.Mode2&x86.Mode2SMMInsideNMI != 0), c.latchedINIT
		e.Flags |= eventSMM
	}
	if c.accel.tripleFaults {
		e.TripleFault = s.TripleFault
		e.Flags |= eventTriple
	}
	return set(c, reqSetEvents, e)
}
