package x86

// MaskMov describes a masked or gathering vector access (argument B of HelperMaskMov; A is the linear address, with the segment
// base, of the operand without a vector index). Vector registers are numbered as ir.VReg.
type MaskMov struct {
	Kind    uint8 // MaskMov…
	Data    uint8 // register loaded or stored; for MaskMovBytes stored
	Mask    uint8 // register with the mask: the sign bit of each element selects
	Elem    uint8 // element size in bytes
	Len     uint8 // vector length in bytes: of Data
	Index   uint8 // gathers: index register
	IdxSize uint8 // gathers: size of an index, 4 or 8
	Scale   uint8 // gathers: log2 of the scale
	Addr32  bool  // addresses wrap at 32 bits (outside 64-bit code)
}

// Kinds of masked accesses.
const (
	MaskMovBytes = iota // MASKMOVQ, MASKMOVDQU: stores selected bytes
	MaskMovLoad         // unselected elements become 0; bytes from Len to 32 as well
	MaskMovStore
	MaskMovGather // unselected elements are kept; the mask is cleared
)

// Pack encodes m as a helper argument.
func (m *MaskMov) Pack() uint64 {
	p := uint64(m.Kind) | uint64(m.Data)<<8 | uint64(m.Mask)<<16 | uint64(m.Elem)<<24 | uint64(m.Len)<<32 | uint64(m.Index)<<40 |
		uint64(m.IdxSize)<<48 | uint64(m.Scale)<<56
	if m.Addr32 {
		p |= 1 << 63
	}
	return p
}

// UnpackMaskMov is the inverse of Pack.
func UnpackMaskMov(p uint64) MaskMov {
	return MaskMov{
		Kind: uint8(p), Data: uint8(p >> 8), Mask: uint8(p >> 16), Elem: uint8(p >> 24), Len: uint8(p >> 32), Index: uint8(p >> 40),
		IdxSize: uint8(p >> 48), Scale: uint8(p>>56) & 3, Addr32: p>>63 != 0,
	}
}

// Wrap truncates an address as the code size wants.
func (m *MaskMov) Wrap(addr uint64) uint64 {
	if m.Addr32 {
		return uint64(uint32(addr))
	}
	return addr
}
