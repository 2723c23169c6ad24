package bridge

import (
	"encoding/binary"
	"errors"
	"strconv"

	"goemu/hw/pci"
	"goemu/hw/qdev"
)

// rootPort is a port of the root complex.
type rootPort struct {
	slotPort
	NoACS bool `prop:"disable-acs,default=false"`
}

// realizeRoot makes a root port with a link of some speed and width.
func (r *rootPort) realizeRoot(speed, width uint8) error {
	r.speed, r.width = speed, width
	if r.NoACS && r.model.acs {
		m := *r.model
		m.acs = false
		r.model = &m
	}
	err := r.realize(func() error {
		r.link()
		r.forwardARI()
		r.initSlot()
		r.SetWritable16(r.reg(expRootCtl), rootErrorsEnabled)
		return r.claim()
	})
	r.updateErrorVector()
	return err
}

// updateErrorVector names the interrupt of errors: the last one that is enabled.
func (r *rootPort) updateErrorVector() {
	vector := uint32(0)
	if r.MSIVectors() == 2 {
		vector = 1
	}
	at := atErrors + errRootStatus
	r.Set32(at, r.Get32(at)&(1<<errRootVector-1)|vector<<errRootVector)
}

// Reset implements qdev.Device.
func (r *rootPort) Reset() {
	r.updateErrorVector()
	r.Set16(r.reg(expRootCtl), 0)
	r.resetErrors()
	r.resetSlot()
	r.resetARI()
	if r.model.acs {
		r.Set16(atAccess+accessControl, 0)
	}
	r.Set32(atErrors+errRootCommand, 0)
	r.ResetBridge()
	r.CloseWindows()
}

// WriteConfig implements pci.ConfigWriter.
func (r *rootPort) WriteConfig(addr, size int, v uint32) {
	r.slotPort.WriteConfig(addr, size, v)
	r.updateErrorVector()
}

// intelRootPort is the device type ioh3420.
type intelRootPort struct{ rootPort }

// Realize implements qdev.Device.
func (i *intelRootPort) Realize() error { return i.realizeRoot(speed25, x1w) }

// reserve is what the bridge asks the firmware to leave free behind it, in bytes and buses; all ones for nothing in particular.
type reserve struct {
	Bus    uint32    `prop:"bus-reserve,default=4294967295"`
	IO     qdev.Size `prop:"io-reserve,default=18446744073709551615"`
	Mem    qdev.Size `prop:"mem-reserve,default=18446744073709551615"`
	Pref32 qdev.Size `prop:"pref32-reserve,default=18446744073709551615"`
	Pref64 qdev.Size `prop:"pref64-reserve,default=18446744073709551615"`
}

// nothing stands for what is not asked for.
const (
	nothing    = ^qdev.Size(0)
	nothing32  = ^uint32(0)
	fourGiB    = 4 << 30
	reserveCap = 32 // bytes of the capability
	reserveTyp = 1
)

// add adds the capability that tells the firmware (Red Hat's, QEMU's docs/pcie_pci_bridge.txt).
func (r *reserve) add(d *pci.Device) error {
	switch {
	case r.Pref32 != nothing && r.Pref64 != nothing:
		return errors.New("PCI resource reserve cap: PREF32 and PREF64 conflict")
	case r.Mem != nothing && r.Mem >= fourGiB:
		return errors.New("PCI resource reserve cap: mem-reserve must be less than 4G")
	case r.Pref32 != nothing && r.Pref32 >= fourGiB:
		return errors.New("PCI resource reserve cap: pref32-reserve  must be less than 4G")
	case r.Bus == nothing32 && r.IO == nothing && r.Mem == nothing && r.Pref32 == nothing && r.Pref64 == nothing:
		return nil
	}
	at, err := d.AddCapability(pci.CapVendor, 0, reserveCap)
	if err != nil {
		return err
	}
	c, le := d.Config[at:], binary.LittleEndian
	c[2], c[3] = reserveCap, reserveTyp
	le.PutUint32(c[4:], r.Bus)
	le.PutUint64(c[8:], uint64(r.IO))
	le.PutUint32(c[16:], uint32(r.Mem))
	le.PutUint32(c[20:], uint32(r.Pref32))
	le.PutUint64(c[24:], uint64(r.Pref64))
	return nil
}

// choose reads one of a few values, chosen writes it.
func choose(v *uint8, text []byte, names []string, codes []uint8) error {
	for i, n := range names {
		if n == string(text) {
			*v = codes[i]
			return nil
		}
	}
	return strconv.ErrSyntax
}

func chosen(v uint8, names []string, codes []uint8) string {
	for i, c := range codes {
		if c == v {
			return names[i]
		}
	}
	return ""
}

// linkSpeed is the speed of a link as the capability encodes it, linkWidth the number of its lanes.
type (
	linkSpeed uint8
	linkWidth uint8
)

var (
	speedNames = []string{"2_5", "5", "8", "16"}
	speedCodes = []uint8{speed25, speed5, speed8, speed16}
	widthNames = []string{"1", "2", "4", "8", "12", "16", "32"}
	widthCodes = []uint8{1, 2, 4, 8, 12, 16, 32}
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *linkSpeed) UnmarshalText(t []byte) error {
	return choose((*uint8)(s), t, speedNames, speedCodes)
}

// String implements fmt.Stringer.
func (s linkSpeed) String() string { return chosen(uint8(s), speedNames, speedCodes) }

// PropertyType implements qdev.TypeNamer.
func (linkSpeed) PropertyType() string { return "PCIELinkSpeed" }

// UnmarshalText implements encoding.TextUnmarshaler.
func (w *linkWidth) UnmarshalText(t []byte) error {
	return choose((*uint8)(w), t, widthNames, widthCodes)
}

// String implements fmt.Stringer.
func (w linkWidth) String() string { return chosen(uint8(w), widthNames, widthCodes) }

// PropertyType implements qdev.TypeNamer.
func (linkWidth) PropertyType() string { return "PCIELinkWidth" }

// genericRootPort is the device type pcie-root-port.
type genericRootPort struct {
	rootPort
	reserve
	MigrateMSIX bool      `prop:"x-migrate-msix,default=true"`
	Speed       linkSpeed `prop:"x-speed,default=16" help:"2_5/5/8/16"`
	Width       linkWidth `prop:"x-width,default=32" help:"1/2/4/8/12/16/32"`
}

// ioReserve is what a slot without native hot-plugging has the firmware leave free.
const ioReserve = 4096

// Realize implements qdev.Device.
func (g *genericRootPort) Realize() error {
	if err := g.realizeRoot(uint8(g.Speed), uint8(g.Width)); err != nil {
		return err
	}
	if g.IO == nothing && g.Hotplug && !g.Native {
		g.IO = ioReserve
	}
	if err := g.add(&g.Device); err != nil {
		return err
	}
	if g.IO == 0 {
		g.DropIO()
	}
	return nil
}
