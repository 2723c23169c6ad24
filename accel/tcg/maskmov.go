package tcg

import (
	"encoding/binary"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// vecBytes is the content of a vector register, or of an x87 register used by MMX.
func (c *CPU) vecBytes(v uint8) []byte {
	if r := ir.VReg(v); r >= ir.VF0 {
		return c.env.FP[(r-ir.VF0)&7][:8]
	}
	return c.env.V[int(v)%len(c.env.V)][:]
}

// maskMov implements HelperMaskMov: masked loads and stores, gathers. Elements that are not selected are not accessed.
func (c *CPU) maskMov(addr, packed uint64) {
	m := x86.UnpackMaskMov(packed)
	if m.Elem == 0 {
		return
	}
	if m.Kind == x86.MaskMovGather {
		c.gather(addr, &m)
		return
	}
	data, mask, mmu := c.vecBytes(m.Data), c.vecBytes(m.Mask), c.mmuIndex()
	n := int(m.Elem)
	var loaded [32]byte
	for at := 0; at+n <= int(m.Len) && at+n <= len(data); at += n {
		if mask[at+n-1]>>7 == 0 {
			continue
		}
		a := m.Wrap(addr + uint64(at))
		if m.Kind == x86.MaskMovLoad {
			putElem(loaded[at:], n, c.rd(a, n, mmu))
		} else {
			c.wr(a, n, elem(data[at:], n), mmu)
		}
	}
	if m.Kind == x86.MaskMovLoad {
		copy(data, loaded[:])
	}
}

// gather loads selected elements from vector-indexed addresses. Each element done leaves the mask, so that a fault in a later one finds
// exact state.
func (c *CPU) gather(addr uint64, m *x86.MaskMov) {
	data, mask, index := c.vecBytes(m.Data), c.vecBytes(m.Mask), c.vecBytes(m.Index)
	n, k, mmu := int(m.Elem), int(m.IdxSize), c.mmuIndex()
	for i := 0; (i+1)*n <= int(m.Len) && (i+1)*k <= len(index); i++ {
		at := i * n
		if mask[at+n-1]>>7 == 0 {
			continue
		}
		ix := elem(index[i*k:], k)
		if k == 4 {
			ix = uint64(int64(int32(ix)))
		}
		putElem(data[at:], n, c.rd(m.Wrap(addr+ix<<m.Scale), n, mmu))
		putElem(mask[at:], n, 0)
	}
	clear(mask)
	clear(data[max(int(m.Len), 0):])
}

func elem(b []byte, n int) uint64 {
	switch n {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

func putElem(b []byte, n int, v uint64) {
	switch n {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	default:
		binary.LittleEndian.PutUint64(b, v)
	}
}
