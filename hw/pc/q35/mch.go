// Package q35 is the memory controller hub of the Intel Q35 chipset: host bridge with its extended configuration space, the windows
// through which RAM is seen between 640 KiB and 1 MiB, and the memory for system management mode.
package q35

import (
	"encoding/binary"
	"fmt"

	"goemu/hw/pci"
	"goemu/hw/pci/pam"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Identity: the 82P35, which has no graphics adapter.
const deviceID = 0x29c0

// Registers (Intel 3 series data sheet, §5.1); the size of TSEG in MiB and the lock of the memory at the power-on SMBASE are QEMU's.
const (
	regTSEGMiB  = 0x50
	tsegQuery   = 0xffff
	tsegMax     = 0xfff
	regPCIEXBAR = 0x60
	regPAM      = 0x90
	regSMBase   = 0x9c
	regSMRAM    = 0x9d
	regESMRAM   = 0x9e

	barEnable, barSize = 1, 3 << 1
	barMask            = (1<<36 - 1) &^ (1<<28 - 1)
	barMask128         = 1<<26 | 1<<25
	barMask64          = 1 << 25

	smbaseQuery, smbaseInRAM, smbaseLock = 0xff, 0x01, 0x02
	smbaseAddr, smbaseSize               = 0x30000, 0x20000

	smramOpen, smramClose, smramLock, smramEnable = 0x40, 0x20, 0x10, 0x08
	smramInit                                     = 0x02 // the segment
	smramWritable                                 = smramOpen | smramClose | smramLock | smramEnable
	esmramHigh, esmramTSEG, esmramSize            = 0x80, 0x01, 3 << 1
	esmramInit                                    = 0x38 // caches
	esmramWritable                                = esmramHigh | esmramSize | esmramTSEG
)

// Addresses.
const (
	smramBase, smramSize = 0xa0000, 0x20000
	smramHigh            = 0xfeda0000
	windowPriority       = 1
	pciPriority          = -1

	// ECAM is where firmware puts the extended configuration space.
	ECAM     = 0xb0000000
	ecamSize = 256 << 20
)

// Classes of the bridge and of what sits above it.
var (
	Class = qdev.Class{Name: "mch", Bus: pci.BusType, Desc: "Host bridge", Internal: true, Category: qdev.Bridge,
		New: func() qdev.Device { return new(MCH) }, State: qdev.State(&mchState)}
	HostClass = qdev.Class{Name: "q35-pcihost", Parents: []string{"pcie-host-bridge", "pci-host-bridge"}, Internal: true, Category: qdev.Bridge,
		New: func() qdev.Device { return new(Host) }, State: pci.HostState}
)

// MCH is the device type mch, function 00.0.
type MCH struct {
	pci.Device
	props struct {
		TSEG        uint16 `prop:"extended-tseg-mbytes,default=16"`
		SMBaseSMRAM bool   `prop:"smbase-smram,default=true"`
	}
	host    *Host
	windows pam.Map

	video, openHigh   *memory.Region // what all CPUs see at the video addresses, and at the high ones while SMRAM is open
	low, high         *memory.Region // what system management mode sees there
	tsegHole, tseg    *memory.Region // a range taken from the top of low memory and what system management mode sees in it
	smbaseHole, atSMB *memory.Region
}

var mchState = vmstate.Description[MCH]{Name: "mch", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[MCH]{
		vmstate.Struct("parent_obj", &pci.State, func(m *MCH) *pci.Device { return &m.Device }),
		vmstate.Unused[MCH](1),
	},
	PostLoad: func(m *MCH, _ int) error { m.update(); return nil }}

// Host is the host bridge as a whole: it provides the root bus.
type Host struct {
	pci.Host
	props struct {
		ECAM    uint64    `prop:"MCFG,default=0xb0000000"`
		Hole64  qdev.Size `prop:"pci-hole64-size,default=34359738368"`
		Short   uint32    `prop:"short_root_bus,default=0"`
		Below4G qdev.Size `prop:"below-4g-mem-size,default=0"`
		Above4G qdev.Size `prop:"above-4g-mem-size,default=0"`
		FixHole bool      `prop:"x-pci-hole64-fix,default=true"`
	}
	Bus   *pci.Bus
	PCI   *memory.Region // PCI's memory space, below system memory
	SMRAM *memory.Region // what system management mode sees in addition
	MCH   *MCH

	mem, ram *memory.Region
	ecam     *pci.ECAM
}

// Config says what the bridge is connected to: mem is system memory, RAM all RAM (its first bytes are at address zero of mem), of which
// Below4G bytes are below 4 GiB; IO is the port space.
type Config struct {
	Memory, RAM, IO  *memory.Region
	Below4G, Above4G uint64
}

// New builds the bridge.
func New(tree *qdev.Tree, c Config) (*Host, error) {
	d, err := tree.New(&HostClass)
	if err != nil {
		return nil, err
	}
	h := d.(*Host)
	h.mem, h.ram = c.Memory, c.RAM
	h.props.Below4G, h.props.Above4G = qdev.Size(c.Below4G), qdev.Size(c.Above4G)
	h.PCI = memory.NewContainer("pci", memory.Whole)
	h.SMRAM = memory.NewContainer("smram", 1<<32)
	h.mem.Add(h.PCI, 0, pciPriority)
	h.Bus = pci.NewExpressBus(h, "pcie.0", h.mem, h.PCI, c.IO)
	h.Connect(h.Bus, c.IO)
	h.ecam = pci.NewECAM(h.Bus, h.mem)
	tree.Machine.MustAdd("q35", h.QOM())
	if err := qdev.Realize(h, tree.Root()); err != nil {
		return nil, err
	}
	m, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	h.MCH = m.(*MCH)
	h.MCH.host, h.MCH.Addr = h, 0
	h.QOM().MustAdd("mch", h.MCH.QOM())
	return h, qdev.Realize(h.MCH, h.Bus)
}

// ECAM is where the extended configuration space is; ok is false if it has no place.
func (h *Host) ECAM() (addr, size uint64, ok bool) { return h.ecam.Where() }

// Hole64Size is the size of the window for PCI devices above 4 GiB.
func (h *Host) Hole64Size() uint64 { return uint64(h.props.Hole64) }

// PCIInfo implements pci.Function.
func (m *MCH) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: deviceID, Class: pci.ClassBridgeHost}
}

// hole answers where memory has been taken away.
type hole struct{}

// Read implements memory.Ops.
func (hole) Read(uint64, int) uint64 { return 0xffffffff }

// Write implements memory.Ops.
func (hole) Write(uint64, int, uint64) {}

func newHole(name string, size uint64) *memory.Region {
	r := memory.NewIO(name, size, hole{})
	r.Valid, r.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 4, Max: 4}
	r.SetEnabled(false)
	return r
}

// Realize implements qdev.Device.
func (m *MCH) Realize() error {
	if m.props.TSEG > tsegMax {
		return fmt.Errorf("invalid extended-tseg-mbytes value: %d", m.props.TSEG)
	}
	h := m.host
	memory.Begin()
	defer memory.Commit()
	below := uint64(h.props.Below4G)
	shown := func(in, of *memory.Region, name string, at, from, size uint64, priority int) *memory.Region {
		r := memory.NewAlias(name, of, from, size)
		in.Add(r, at, priority)
		return r
	}
	m.video = shown(h.mem, h.PCI, "smram-region", smramBase, smramBase, smramSize, windowPriority)
	m.openHigh = shown(h.mem, h.ram, "smram-open-high", smramHigh, smramBase, smramSize, windowPriority)
	m.low = shown(h.SMRAM, h.ram, "smram-low", smramBase, smramBase, smramSize, 0)
	m.high = shown(h.SMRAM, h.ram, "smram-high", smramHigh, smramBase, smramSize, 0)
	m.tseg = shown(h.SMRAM, h.ram, "tseg-window", below, below, 0, 0)
	m.atSMB = shown(h.SMRAM, h.ram, "smbase-window", smbaseAddr, smbaseAddr, smbaseSize, 0)
	m.tsegHole, m.smbaseHole = newHole("tseg-blackhole", 0), newHole("smbase-blackhole", smbaseSize)
	h.mem.Add(m.tsegHole, below, windowPriority)
	h.mem.Add(m.smbaseHole, smbaseAddr, windowPriority)
	for _, r := range []*memory.Region{m.openHigh, m.tseg, m.atSMB} {
		r.SetEnabled(false)
	}
	m.windows.Init(h.mem, h.ram, h.PCI, m.Config[regPAM:regPAM+pam.Bytes])
	return nil
}

// Reset implements qdev.Device.
func (m *MCH) Reset() {
	binary.LittleEndian.PutUint64(m.Config[regPCIEXBAR:], ECAM)
	m.Config[regSMRAM], m.Config[regESMRAM] = smramInit, esmramInit
	m.Writable[regSMRAM], m.Writable[regESMRAM] = smramWritable, esmramWritable
	if m.props.TSEG > 0 {
		m.Set16(regTSEGMiB, tsegQuery)
	}
	m.Config[regSMBase], m.Writable[regSMBase] = 0, 0xff
	m.update()
}

// WriteConfig implements pci.ConfigWriter.
func (m *MCH) WriteConfig(addr, size int, v uint32) {
	m.DefaultWriteConfig(addr, size, v)
	touches := func(at, n int) bool { return addr < at+n && addr+size > at }
	if touches(regPAM, pam.Bytes) {
		m.windows.Update()
	}
	if touches(regPCIEXBAR, 8) {
		m.updateECAM()
	}
	if touches(regSMRAM, 2) {
		m.updateSMRAM()
	}
	if touches(regTSEGMiB, 2) {
		m.answerTSEG()
	}
	if touches(regSMBase, 1) {
		m.updateSMBase()
	}
}

func (m *MCH) update() {
	memory.Begin()
	defer memory.Commit()
	m.updateECAM()
	m.windows.Update()
	m.updateSMRAM()
	m.answerTSEG()
	m.updateSMBase()
}

// updateECAM places the extended configuration space. The reserved size changes nothing.
func (m *MCH) updateECAM() {
	bar := binary.LittleEndian.Uint64(m.Config[regPCIEXBAR:])
	mask, size := uint64(barMask), uint64(ecamSize)
	switch bar & barSize >> 1 {
	case 1:
		mask, size = mask|barMask128, size/2
	case 2:
		mask, size = mask|barMask64, size/4
	case 3:
		return
	}
	m.host.ecam.Place(bar&barEnable != 0, bar&mask, size)
}

// updateSMRAM shows the memory of system management mode as the registers say.
func (m *MCH) updateSMRAM() {
	memory.Begin()
	defer memory.Commit()
	if m.Config[regSMRAM]&smramLock != 0 {
		m.Config[regSMRAM] &^= smramOpen
		m.Writable[regSMRAM], m.Writable[regESMRAM] = smramClose, 0
	}
	smram, extended := m.Config[regSMRAM], m.Config[regESMRAM]
	high, open, on := extended&esmramHigh != 0, smram&smramOpen != 0, smram&smramEnable != 0
	m.video.SetEnabled(!open || high)
	m.openHigh.SetEnabled(open && high)
	m.low.SetEnabled(on && !high)
	m.high.SetEnabled(on && high)
	size := uint64(0)
	if on && extended&esmramTSEG != 0 {
		size = [...]uint64{1, 2, 8, uint64(m.props.TSEG)}[extended&esmramSize>>1] << 20
	}
	size = min(size, uint64(m.host.props.Below4G))
	at := uint64(m.host.props.Below4G) - size
	for _, r := range []*memory.Region{m.tsegHole, m.tseg} {
		r.SetEnabled(size != 0)
		r.SetSize(size)
		r.SetOffset(at)
	}
	m.tseg.SetAliasOffset(at)
}

// answerTSEG tells a guest that asks for the size of TSEG.
func (m *MCH) answerTSEG() {
	if m.props.TSEG > 0 && m.Get16(regTSEGMiB) == tsegQuery {
		m.Set16(regTSEGMiB, m.props.TSEG)
	}
}

// updateSMBase gives the memory at the power-on SMBASE to system management mode, if the guest has asked whether that is possible.
func (m *MCH) updateSMBase() {
	if !m.props.SMBaseSMRAM {
		return
	}
	if m.Config[regSMBase] == smbaseQuery {
		m.Writable[regSMBase], m.Config[regSMBase] = smbaseLock, smbaseInRAM
		return
	}
	if m.Writable[regSMBase] == 0xff { // not asked
		m.Config[regSMBase] = 0
	}
	locked := m.Config[regSMBase]&smbaseLock != 0
	if locked {
		m.Config[regSMBase], m.Writable[regSMBase] = smbaseLock, 0
	}
	memory.Begin()
	defer memory.Commit()
	m.smbaseHole.SetEnabled(locked)
	m.atSMB.SetEnabled(locked)
}

// ShadowRAM makes a range between 0xc0000 and 0xfffff RAM, as firmware does: writable or read-only.
func (m *MCH) ShadowRAM(from, to uint64, writable bool) { m.windows.Shadow(from, to, writable) }

// PlaceECAM switches the extended configuration space on, as firmware does.
func (m *MCH) PlaceECAM() {
	binary.LittleEndian.PutUint64(m.Config[regPCIEXBAR:], ECAM|barEnable)
	m.updateECAM()
}
