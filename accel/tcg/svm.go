package tcg

import (
	"goemu/accel"
	"goemu/target/x86"
)

// Secure virtual machine mode (AMD64 APM volume 2, chapter 15): VMRUN starts a nested guest, an intercept ends it. HFGuest tells that one
// executes. The soft TLBs never hold what is of both worlds: they are emptied whenever one is entered.

// irqVirtual is the request line of the virtual interrupt that the host of a nested guest has asked for.
const irqVirtual accel.IRQ = 1 << 31

// svm is the state of the mode beside HFGuest.
type svm struct {
	x86.SVMState
	mode2      uint32 // the bits x86.Mode2SVM
	tscOffset  uint64 // the nested guest's part of Env.TSCOffset
	delivering uint64 // the event that is on its way into a handler, as in exit_int_info
	aside      uint32 // HFGuest during SMM
}

// vmexit is why a nested guest ends.
type vmexit struct{ code, info1, info2 uint64 }

// stateRegs are the registers that VMRUN and #VMEXIT exchange, beside segments and flags, and where they are in a control block.
var stateRegs = [...]struct {
	off uint64
	at  func(e *x86.Env) *uint64
}{
	{x86.VMCBEFER, func(e *x86.Env) *uint64 { return &e.EFER }},
	{x86.VMCBCR4, func(e *x86.Env) *uint64 { return &e.CR[4] }},
	{x86.VMCBCR3, func(e *x86.Env) *uint64 { return &e.CR[3] }},
	{x86.VMCBCR0, func(e *x86.Env) *uint64 { return &e.CR[0] }},
	{x86.VMCBDR7, func(e *x86.Env) *uint64 { return &e.DR[7] }},
	{x86.VMCBDR6, func(e *x86.Env) *uint64 { return &e.DR[6] }},
	{x86.VMCBRIP, func(e *x86.Env) *uint64 { return &e.PC }},
	{x86.VMCBRSP, func(e *x86.Env) *uint64 { return &e.Regs[x86.RSP] }},
	{x86.VMCBRAX, func(e *x86.Env) *uint64 { return &e.Regs[x86.RAX] }},
}

// descriptorTables are exchanged with them.
var descriptorTables = [...]struct {
	off uint64
	at  func(e *x86.Env) *x86.Table
}{
	{x86.VMCBGDTR, func(e *x86.Env) *x86.Table { return &e.GDT }},
	{x86.VMCBIDTR, func(e *x86.Env) *x86.Table { return &e.IDT }},
}

// moreRegs are those that VMLOAD and VMSAVE exchange.
var moreRegs = [...]struct {
	off uint64
	at  func(e *x86.Env) *uint64
}{
	{x86.VMCBSTAR, func(e *x86.Env) *uint64 { return &e.Star }},
	{x86.VMCBLSTAR, func(e *x86.Env) *uint64 { return &e.LStar }},
	{x86.VMCBCSTAR, func(e *x86.Env) *uint64 { return &e.CStar }},
	{x86.VMCBSFMASK, func(e *x86.Env) *uint64 { return &e.FMask }},
	{x86.VMCBKernelGSBase, func(e *x86.Env) *uint64 { return &e.KernelGSBase }},
	{x86.VMCBSysenterCS, func(e *x86.Env) *uint64 { return &e.SysenterCS }},
	{x86.VMCBSysenterESP, func(e *x86.Env) *uint64 { return &e.SysenterESP }},
	{x86.VMCBSysenterEIP, func(e *x86.Env) *uint64 { return &e.SysenterEIP }},
}

// moreSegs are the segments that VMLOAD and VMSAVE exchange.
var moreSegs = [...]struct {
	off uint64
	seg int
}{{x86.VMCBSegs + 16*x86.FS, x86.FS}, {x86.VMCBSegs + 16*x86.GS, x86.GS}, {x86.VMCBTR, x86.TR}, {x86.VMCBLDTR, x86.LDTR}}

func (c *CPU) physLoad(addr uint64, size int) uint64 {
	if h := c.hostOf(addr, uint64(size), false); h != 0 {
		return hostLoad(h, size)
	}
	v, _ := c.space().BusLoad(addr, size)
	return v
}

func (c *CPU) physStore(addr uint64, size int, v uint64) { _ = c.space().BusStore(addr, size, v) }

// vmcb reads a field of the current control block, setVMCB writes one.
func (c *CPU) vmcb(off uint64, size int) uint64 { return c.physLoad(c.svm.VMCB+off, size) }

func (c *CPU) setVMCB(off uint64, size int, v uint64) { c.physStore(c.svm.VMCB+off, size, v) }

func (c *CPU) storeSegment(at uint64, s *x86.Segment) {
	c.physStore(at, 2, uint64(s.Selector))
	c.physStore(at+2, 2, uint64(s.Flags>>8&0xff|s.Flags>>12&0xf00))
	c.physStore(at+4, 4, uint64(s.Limit))
	c.physStore(at+8, 8, s.Base)
}

// loadSegment reads a segment; the base is made canonical.
func (c *CPU) loadSegment(at uint64) x86.Segment {
	a := uint32(c.physLoad(at+2, 2))
	sh := c.canonicalShift()
	return x86.Segment{
		Selector: uint16(c.physLoad(at, 2)), Flags: a&0xff<<8 | a&0xf00<<12, Limit: uint32(c.physLoad(at+4, 4)),
		Base: uint64(int64(c.physLoad(at+8, 8)<<sh) >> sh),
	}
}

// storeState writes what VMRUN and #VMEXIT exchange to a control block at a guest physical address.
func (c *CPU) storeState(at uint64) {
	e := c.env
	for i := range x86.FS {
		c.storeSegment(at+x86.VMCBSegs+16*uint64(i), &e.Seg[i])
	}
	for _, t := range descriptorTables {
		v := t.at(e)
		c.physStore(at+t.off+4, 4, uint64(v.Limit))
		c.physStore(at+t.off+8, 8, v.Base)
	}
	for _, r := range stateRegs {
		c.physStore(at+r.off, 8, *r.at(e))
	}
	c.physStore(at+x86.VMCBRFLAGS, 8, e.Flags())
}

// loadState reads it, at a privilege level.
func (c *CPU) loadState(at uint64, cpl int) {
	e := c.env
	for _, r := range stateRegs {
		*r.at(e) = c.physLoad(at+r.off, 8)
	}
	e.CR[0] = e.CR[0]&cr0Valid | x86.CR0ET
	e.EFER &^= x86.EFERLMA
	if e.EFER&x86.EFERLME != 0 && e.CR[0]&x86.CR0PG != 0 {
		e.EFER |= x86.EFERLMA
	}
	for i := range x86.FS {
		e.Seg[i] = c.loadSegment(at + x86.VMCBSegs + 16*uint64(i))
	}
	for _, t := range descriptorTables {
		s := c.loadSegment(at + t.off)
		*t.at(e) = x86.Table{Base: s.Base, Limit: s.Limit}
	}
	e.SetFlags(c.physLoad(at+x86.VMCBRFLAGS, 8))
	e.SetCPL(cpl)
}

// worldChanged follows a change between host and nested guest.
func (c *CPU) worldChanged() {
	c.env.UpdateHFlags()
	c.flushTLB(true)
	c.updateWatch()
	c.raiseVirtual()
}

// needSVM raises the exceptions that all instructions of the mode have in common.
func (c *CPU) needSVM() {
	if c.env.EFER&x86.EFERSVME == 0 {
		c.ud()
	}
	if c.env.CPL() != 0 {
		c.gp(0)
	}
}

// controlBlock is the control block that RAX names, for an instruction with an address size in bytes and an exit code.
func (c *CPU) controlBlock(size, code uint64) uint64 {
	c.needSVM()
	addr := truncPC(c.env.Regs[x86.RAX], int(size))
	if addr&^pageMask != 0 || addr>>c.cfg.PhysBits != 0 {
		c.gp(0)
	}
	c.endIf(code)
	return addr
}

// vmrun implements VMRUN.
func (c *CPU) vmrun(next, size uint64) {
	addr := c.controlBlock(size, x86.SVMExitVMRUN)
	e, s := c.env, &c.svm
	c.endShadow()
	e.PC, s.VMCB = next, addr
	c.storeState(s.HSave)
	c.loadControls()
	if !c.validControls() || !c.validState() {
		c.vmrunFailed()
		return
	}
	if s.IntCtl&x86.VIntMasking != 0 {
		s.mode2 |= x86.Mode2VIntr
		if e.EFlags&x86.FlagIF != 0 {
			s.mode2 |= x86.Mode2HIF
		}
	}
	if c.vmcb(x86.VMCBNestedCtl, 8)&1 != 0 {
		s.mode2 |= x86.Mode2NPT
		s.NestedCR3, s.PagingMode = c.vmcb(x86.VMCBNestedCR3, 8), c.pagingMode()
	}
	s.mode2 |= x86.Mode2GIF
	if s.IntCtl&x86.VIntGIFEnable == 0 || s.IntCtl&x86.VIntGIF != 0 {
		s.mode2 |= x86.Mode2VGIF
	}
	s.tscOffset = c.vmcb(x86.VMCBTSCOffset, 8)
	e.TSCOffset += s.tscOffset
	c.setVMCB(x86.VMCBExitInfo2, 8, 0)
	e.HFlags |= x86.HFGuest
	c.loadState(addr, int(c.vmcb(x86.VMCBCPL, 1)&3))
	e.CR[2] = c.vmcb(x86.VMCBCR2, 8)
	if c.vmcb(x86.VMCBIntState, 4)&1 != 0 {
		e.Shadow = x86.ShadowSTI
	}
	c.worldChanged()
	c.inject(c.vmcb(x86.VMCBEventInj, 8))
}

// loadControls reads the control area.
func (c *CPU) loadControls() {
	s := &c.svm
	s.CRRead, s.CRWrite = uint16(c.vmcb(x86.VMCBCRRead, 2)), uint16(c.vmcb(x86.VMCBCRWrite, 2))
	s.DRRead, s.DRWrite = uint16(c.vmcb(x86.VMCBDRRead, 2)), uint16(c.vmcb(x86.VMCBDRWrite, 2))
	s.Exceptions, s.Intercept = uint32(c.vmcb(x86.VMCBExceptions, 4)), c.vmcb(x86.VMCBIntercept, 8)
	s.IntCtl = uint32(c.vmcb(x86.VMCBIntCtl, 4))
	if !c.cfg.Features.Has(x86.FeatVGIF) {
		s.IntCtl &^= x86.VIntGIFEnable
	}
	s.mode2 &^= x86.Mode2SVM
}

// validControls checks the control area as VMRUN does (15.5.1).
func (c *CPU) validControls() bool {
	const ioBytes, msrBytes = 3 << 12, 2 << 12
	end := uint64(1) << c.cfg.PhysBits
	if c.svm.Intercept>>(x86.SVMExitVMRUN-x86.SVMExitINTR)&1 == 0 || c.vmcb(x86.VMCBASID, 4) == 0 {
		return false
	}
	if c.vmcb(x86.VMCBIOPM, 8)&pageMask > end-ioBytes || c.vmcb(x86.VMCBMSRPM, 8)&pageMask >= end-msrBytes {
		return false
	}
	inj := c.vmcb(x86.VMCBEventInj, 4)
	if inj&x86.SVMEventValid == 0 {
		return true
	}
	switch inj >> x86.SVMEventTypeShift & 7 {
	case x86.SVMEventINTR, x86.SVMEventNMI, x86.SVMEventSoft:
		return true
	case x86.SVMEventException:
		return inj&0xff != x86.ExcNMI && inj&0xff < 32
	}
	return false
}

// validState checks the state save area.
func (c *CPU) validState() bool {
	get := func(off uint64) uint64 { return c.vmcb(off, 8) }
	cr0, cr3, cr4, efer, nested := get(x86.VMCBCR0), get(x86.VMCBCR3), get(x86.VMCBCR4), get(x86.VMCBEFER), get(x86.VMCBNestedCtl)
	long := efer&x86.EFERLME != 0 && cr0&x86.CR0PG != 0
	cs := c.vmcb(x86.VMCBSegs+16*x86.CS+2, 2)
	const csL, csD = 1 << 9, 1 << 10
	switch {
	case efer&x86.EFERSVME == 0, efer&^(c.eferValid()|x86.EFERLMA) != 0:
	case cr0>>32 != 0, cr3>>c.cfg.PhysBits != 0, cr0&(x86.CR0NW|x86.CR0CD) == x86.CR0NW:
	case cr4&^c.cr4Valid() != 0, get(x86.VMCBDR6)>>32 != 0, get(x86.VMCBDR7)>>32 != 0:
	case nested&1 == 0 && cr0&x86.CR0PG != 0 && !long && cr4&x86.CR4PAE != 0 && !c.validPDPTEs(cr3):
	case long && (cr4&x86.CR4PAE == 0 || cr0&x86.CR0PE == 0 || cs&(csL|csD) == csL|csD):
	default:
		return true
	}
	return false
}

// vmrunFailed ends VMRUN of a control block that cannot be executed.
func (c *CPU) vmrunFailed() {
	c.setVMCB(x86.VMCBExitCode, 8, x86.SVMExitInvalid)
	c.setVMCB(x86.VMCBExitInfo1, 8, 0)
	c.setVMCB(x86.VMCBExitInfo2, 8, 0)
	c.svm.Intercept, c.svm.Exceptions, c.svm.IntCtl = 0, 0, 0
}

// inject delivers the event that the host of a nested guest asks for, if any.
func (c *CPU) inject(info uint64) {
	if info&x86.SVMEventValid == 0 {
		return
	}
	ev := event{vector: uint8(info), injected: true, next: c.env.PC, cr2: c.env.CR[2]}
	switch info >> x86.SVMEventTypeShift & 7 {
	case x86.SVMEventINTR:
		ev.kind = evHardware
	case x86.SVMEventNMI:
		ev.kind, ev.vector = evHardware, x86.ExcNMI
	case x86.SVMEventException:
		ev.kind = evFault
		ev.hasErr, ev.err = info&x86.SVMEventErr != 0, uint32(info>>32)
	case x86.SVMEventSoft:
		ev.kind = evSoft
	}
	c.deliver(ev)
}

// begin notes the event that is about to be delivered.
func (s *svm) begin(ev *event) {
	kind := uint64(x86.SVMEventException)
	switch {
	case ev.kind == evHardware && ev.vector == x86.ExcNMI:
		kind = x86.SVMEventNMI
	case ev.kind == evHardware:
		kind = x86.SVMEventINTR
	case ev.kind == evSoft && !ev.exception:
		kind = x86.SVMEventSoft
	}
	s.delivering = uint64(ev.vector) | kind<<x86.SVMEventTypeShift | x86.SVMEventValid
	if ev.hasErr {
		s.delivering |= x86.SVMEventErr | uint64(ev.err)<<32
	}
}

// leaveGuest ends the nested guest: its state goes to the control block, the host's comes back, with all interrupts held.
func (c *CPU) leaveGuest(x vmexit) {
	e, s := c.env, &c.svm
	c.halted.Store(false)
	c.setVMCB(x86.VMCBIntState, 4, uint64(b2u(e.Shadow != 0)))
	c.storeState(s.VMCB)
	c.setVMCB(x86.VMCBCR2, 8, e.CR[2])
	c.setVMCB(x86.VMCBCPL, 1, uint64(e.CPL()))
	c.setVMCB(x86.VMCBIntCtl, 4, uint64(s.IntCtl))
	c.setVMCB(x86.VMCBExitCode, 8, x.code)
	c.setVMCB(x86.VMCBExitInfo1, 8, x.info1)
	c.setVMCB(x86.VMCBExitInfo2, 8, x.info2)
	c.setVMCB(x86.VMCBExitIntInfo, 8, s.delivering)
	c.setVMCB(x86.VMCBEventInj, 8, 0)

	e.TSCOffset -= s.tscOffset
	*s = svm{SVMState: x86.SVMState{HSave: s.HSave, VMCB: s.VMCB}}
	e.HFlags &^= x86.HFGuest
	e.Shadow = 0
	c.loadState(s.HSave, 0)
	e.CR[0] |= x86.CR0PE
	e.EFlags &^= x86.FlagVM
	e.DR[7] = x86.DR7Fixed
	c.worldChanged()
	if e.EFlags&x86.FlagTF != 0 { // VMRUN was stepped
		c.singleStep()
	}
}

// vmload and vmsave implement VMLOAD and VMSAVE.
func (c *CPU) vmload(size uint64) {
	at := c.controlBlock(size, x86.SVMExitVMLOAD)
	e := c.env
	for _, s := range moreSegs {
		e.Seg[s.seg] = c.loadSegment(at + s.off)
	}
	for _, r := range moreRegs {
		*r.at(e) = c.physLoad(at+r.off, 8)
	}
	sh := c.canonicalShift()
	e.KernelGSBase = uint64(int64(e.KernelGSBase<<sh) >> sh)
	e.UpdateHFlags()
}

func (c *CPU) vmsave(size uint64) {
	at := c.controlBlock(size, x86.SVMExitVMSAVE)
	e := c.env
	for _, s := range moreSegs {
		c.storeSegment(at+s.off, &e.Seg[s.seg])
	}
	for _, r := range moreRegs {
		c.physStore(at+r.off, 8, *r.at(e))
	}
}

// vmmcall implements VMMCALL, which only nested guests can use.
func (c *CPU) vmmcall() {
	c.endIf(x86.SVMExitVMMCALL)
	c.ud()
}

// invlpga implements INVLPGA. Nothing is kept of other address space identifiers.
func (c *CPU) invlpga(addr uint64) {
	c.needSVM()
	c.endIf(x86.SVMExitINVLPGA)
	c.flushPage(addr)
}

// setGIF implements STGI and CLGI.
func (c *CPU) setGIF(code uint64, on bool) {
	c.needSVM()
	c.endIf(code)
	s := &c.svm
	bit := uint32(x86.Mode2GIF)
	if c.env.HFlags&x86.HFGuest != 0 && s.IntCtl&x86.VIntGIFEnable != 0 {
		bit = x86.Mode2VGIF
		s.IntCtl &^= x86.VIntGIF
		if on {
			s.IntCtl |= x86.VIntGIF
		}
	}
	s.mode2 &^= bit
	if on {
		s.mode2 |= bit
	}
}

// needGIF sets the global interrupt flag of a CPU that cannot do so itself because the mode is off.
func (c *CPU) needGIF() {
	if c.env.EFER&x86.EFERSVME == 0 {
		c.svm.mode2 |= x86.Mode2GIF | x86.Mode2VGIF
	}
}

// raiseVirtual raises the line of the virtual interrupt if there is one and its priority is high enough, else lowers it.
func (c *CPU) raiseVirtual() {
	i := c.svm.IntCtl
	if i&x86.VIntIRQ != 0 && (i&x86.VIntIgnoreTPR != 0 || i>>x86.VIntPrioShift&0xf > i&x86.VIntTPR) {
		c.Raise(irqVirtual)
		return
	}
	c.Lower(irqVirtual)
}

// virtualInterrupt takes the virtual interrupt.
func (c *CPU) virtualInterrupt() {
	if c.endNow(x86.SVMExitVINTR) {
		return
	}
	vector := uint8(c.vmcb(x86.VMCBIntVector, 4))
	c.svm.IntCtl &^= x86.VIntIRQ
	c.Lower(irqVirtual)
	c.halted.Store(false)
	c.deliver(event{kind: evHardware, vector: vector})
}

// open keeps of request lines those that the CPU would act upon: the global interrupt flag of secure virtual machine mode holds all, and
// maskable interrupts wait for EFLAGS.IF, those from outside for the host's if the nested guest's is virtual.
func (c *CPU) open(l accel.IRQ) accel.IRQ {
	mode2, enabled := c.svm.mode2, c.env.EFlags&x86.FlagIF != 0
	if mode2&x86.Mode2GIF == 0 {
		l &^= accel.IRQHard | accel.IRQNMI | accel.IRQMCE | accel.IRQSMI | accel.IRQInit | irqVirtual
	}
	if !enabled || mode2&x86.Mode2VGIF == 0 {
		l &^= irqVirtual
	}
	if mode2&x86.Mode2VIntr != 0 {
		enabled = mode2&x86.Mode2HIF != 0
	}
	if !enabled {
		l &^= accel.IRQHard
	}
	return l
}
