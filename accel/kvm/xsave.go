package kvm

import "goemu/target/x86"

// Places in the XSAVE area in its standard form (Intel SDM volume 1, §13.4).
const (
	xsFCW, xsFSW, xsFTW, xsFOP = 0, 2, 4, 6
	xsFIP, xsFDP, xsMXCSR      = 8, 16, 24
	xsST, xsXMM                = 32, 160
	xsBV                       = 512
	xsSlot                     = 16

	fswTopShift = 11
)

// component is an extended part of the area, whose place the host says.
type component struct {
	bit  uint
	size int // of what is known of it
	pull func(s *x86.State, b []byte)
	push func(s *x86.State, b []byte)
}

// components are those beside the x87 and SSE registers.
var components = []component{
	rows(2, 16, 16, func(s *x86.State, i int) []uint64 { return s.Vec[i][2:] }),
	rows(3, 4, 16, func(s *x86.State, i int) []uint64 { return s.Bounds.Regs[i][:] }),
	{4, 16, func(s *x86.State, b []byte) { s.Bounds.Config, s.Bounds.Status = le.Uint64(b), le.Uint64(b[8:]) },
		func(s *x86.State, b []byte) { putWords(b, []uint64{s.Bounds.Config, s.Bounds.Status}) }},
	rows(5, 1, 64, func(s *x86.State, _ int) []uint64 { return s.AVX512.Mask[:] }),
	rows(6, 16, 32, func(s *x86.State, i int) []uint64 { return s.AVX512.Upper[i][:] }),
	rows(7, 16, 64, func(s *x86.State, i int) []uint64 { return s.AVX512.More[i][:] }),
	{9, 4, func(s *x86.State, b []byte) { s.PKRU = le.Uint32(b) }, func(s *x86.State, b []byte) { le.PutUint32(b, s.PKRU) }},
	{17, 64, func(s *x86.State, b []byte) { copy(s.Tiles.Config[:], b) }, func(s *x86.State, b []byte) { copy(b, s.Tiles.Config[:]) }},
	{18, 8192, func(s *x86.State, b []byte) { copy(s.Tiles.Data[:], b) }, func(s *x86.State, b []byte) { copy(b, s.Tiles.Data[:]) }},
}

// rows is a component of n rows, each of so many bytes.
func rows(bit uint, n, bytes int, row func(s *x86.State, i int) []uint64) component {
	return component{bit, n * bytes, func(s *x86.State, b []byte) {
		for i := range n {
			getWords(row(s, i), b[bytes*i:])
		}
	}, func(s *x86.State, b []byte) {
		for i := range n {
			putWords(b[bytes*i:], row(s, i))
		}
	}}
}

func getWords(w []uint64, b []byte) {
	for i := range w {
		w[i] = le.Uint64(b[8*i:])
	}
}

func putWords(b []byte, w []uint64) {
	for i := range w {
		le.PutUint64(b[8*i:], w[i])
	}
}

// initial is what a component holds that is not in use.
var initial = make([]byte, 8192)

// place is where the host keeps a component; nil if it does not.
func (x *component) place(c *CPU) []byte {
	r := c.accel.h.leaf(leafXSAVE, uint32(x.bit))
	if int(r[0]) < x.size || int(r[1]) > len(c.xsave)-x.size {
		return nil
	}
	return c.xsave[r[1]:][:x.size]
}

// xsaveRequest is the request that gives the area, whose size is one of the capability's where components were asked for that make it larger
// than the first kernels' one.
func (c *CPU) xsaveRequest() (r request, size int) {
	if n := c.accel.h.vmCaps[capXsave2]; n > sizeXsave {
		return reqGetXsave2, n
	}
	return reqGetXsave, sizeXsave
}

func (c *CPU) pullXsave() error {
	r, size := c.xsaveRequest()
	if c.xsave == nil {
		c.xsave = make([]byte, size)
	}
	if _, err := c.k.ioctlData(c.fd, r, c.xsave); err != nil {
		return requestError(r, err)
	}
	s, b := &c.rest, c.xsave
	s.FCW, s.FSW, s.FTags, s.FOp = le.Uint16(b[xsFCW:]), le.Uint16(b[xsFSW:]), uint16(b[xsFTW]), le.Uint16(b[xsFOP:])
	s.FIP, s.FDP, s.MXCSR = le.Uint64(b[xsFIP:]), le.Uint64(b[xsFDP:]), le.Uint32(b[xsMXCSR:])
	top := int(s.FSW >> fswTopShift & 7)
	for i := range s.FP { // the area has them in the order of the stack
		p := b[xsST+i*xsSlot:]
		s.FP[(top+i)&7] = x86.FPReg{Mantissa: le.Uint64(p), Exponent: le.Uint16(p[8:])}
	}
	for i := range s.Vec {
		getWords(s.Vec[i][:2], b[xsXMM+i*xsSlot:])
	}
	s.XStateBV = le.Uint64(b[xsBV:])
	for i := range components {
		x := &components[i]
		if p := x.place(c); p != nil && s.XStateBV>>x.bit&1 != 0 {
			x.pull(s, p)
		} else {
			x.pull(s, initial)
		}
	}
	return nil
}

// pushXsave changes what we know of in the area as the kernel has it: other components stay as they are.
func (c *CPU) pushXsave() error {
	s := &c.rest
	if c.xsave == nil || c.whole {
		_, size := c.xsaveRequest()
		c.xsave = make([]byte, size)
	}
	b := c.xsave
	le.PutUint16(b[xsFCW:], s.FCW)
	le.PutUint16(b[xsFSW:], s.FSW)
	le.PutUint16(b[xsFTW:], s.FTags)
	le.PutUint16(b[xsFOP:], s.FOp)
	le.PutUint64(b[xsFIP:], s.FIP)
	le.PutUint64(b[xsFDP:], s.FDP)
	le.PutUint32(b[xsMXCSR:], s.MXCSR)
	top := int(s.FSW >> fswTopShift & 7)
	for i := range s.FP {
		p, f := b[xsST+i*xsSlot:], s.FP[(top+i)&7]
		le.PutUint64(p, f.Mantissa)
		le.PutUint16(p[8:], f.Exponent)
	}
	for i := range s.Vec {
		putWords(b[xsXMM+i*xsSlot:], s.Vec[i][:2])
	}
	bv := le.Uint64(b[xsBV:]) | x86.XFeatX87 | x86.XFeatSSE
	has := c.accel.opt.Config.XCR0Mask()
	for i := range components {
		x := &components[i]
		if p := x.place(c); p != nil && has>>x.bit&1 != 0 {
			x.push(s, p)
			bv |= 1 << x.bit
		}
	}
	le.PutUint64(b[xsBV:], bv)
	if _, err := c.k.ioctlData(c.fd, reqSetXsave, b); err != nil {
		return requestError(reqSetXsave, err)
	}
	return nil
}

// Dynamic components: memory for them is given to processes that have asked for it (Documentation/arch/x86/xstate.rst).
const (
	sysArchPrctl     = 158    // arch_prctl, of x86-64
	archReqGuestPerm = 0x1025 // ARCH_REQ_XCOMP_GUEST_PERM
	dynamicComponent = 18

	// The attribute of the system that tells which components guests can have.
	attrGroup       = 0
	attrGuestXState = 0 // KVM_X86_XCOMP_GUEST_SUPP
)

// deviceAttr is struct kvm_device_attr; Addr is where the value goes.
type deviceAttr struct {
	Flags, Group uint32
	Attr, Addr   uint64
}

// requestDynamic asks for the dynamic components on behalf of guests; a host that lacks them says so. It precedes the machine.
func (h *Host) requestDynamic() {
	if !h.has(capSysAttributes) {
		return
	}
	a := deviceAttr{Group: attrGroup, Attr: attrGuestXState, Addr: addressOf(bytesOf(&h.guestXState))}
	if _, err := h.k.ioctlData(h.fd, reqGetDeviceAttr, bytesOf(&a)); err != nil || h.guestXState>>dynamicComponent&1 == 0 {
		return
	}
	h.tiles = h.k.permitGuest(dynamicComponent) == nil
}
