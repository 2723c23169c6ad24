// Package vmport is the port over which guests call VMware's hypervisor (QEMU's hw/i386/vmport.c): a call's number and operands are in
// the registers of the CPU that accesses the port, and so are its results.
package vmport

import (
	"encoding/binary"
	"math"

	"goemu/accel"
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/target/x86"
)

// Base is the port, Magic what EAX has in a call.
const (
	Base  = 0x5658
	Magic = 0x564d5868
)

// In tells whether an access to the port space touches the port.
func In(port uint16, size int) bool { return Base-port < uint16(size) }

// Command is the number of a call, in CL.
type Command uint8

// The calls.
const (
	GetVersion   Command = 10
	GetBIOSUUID  Command = 19
	GetRAMSize   Command = 20
	MouseData    Command = 39
	MouseStatus  Command = 40
	MouseCommand Command = 41
	GetHz        Command = 45
	GetVCPUInfo  Command = 68
)

// Results of calls.
const (
	ramSizeEBX    = 0x1177
	vcpuX2APIC    = 1 << 3
	unknown       = math.MaxUint32
	registerWidth = 4
)

// Registers are the general registers of the calling CPU, by their numbers.
type Registers = [16]uint64

// Call carries out a call and returns what EAX is to be.
type Call func(r *Registers) uint32

// Config is what the port tells of the machine.
type Config struct {
	RAM    uint64 // bytes
	UUID   [16]byte
	X2APIC bool
}

// Port is the device type vmport.
type Port struct {
	isa.Device
	ReadSetEAX        bool   `prop:"x-read-set-eax,default=true"`
	SignalUnsupported bool   `prop:"x-signal-unsupported-cmd,default=true"`
	ReportType        bool   `prop:"x-report-vmx-type,default=true"`
	CommandsV2        bool   `prop:"x-cmds-v2,default=true"`
	Version           uint32 `prop:"vmware-vmx-version,default=6"`
	Type              uint8  `prop:"vmware-vmx-type,default=2"`

	cfg   Config
	calls map[Command]Call
	cpu   accel.Registers // that makes an access; nil otherwise
}

// Class is the device type.
var Class = qdev.Class{Name: "vmport", Bus: isa.BusType, Internal: true, New: func() qdev.Device { return new(Port) }}

// New puts the port on the bus.
func New(tree *qdev.Tree, bus *isa.Bus, cfg Config) (*Port, error) {
	d, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	p := d.(*Port)
	p.cfg = cfg
	return p, qdev.Realize(p, bus)
}

// Realize implements qdev.Device.
func (p *Port) Realize() error {
	p.calls = map[Command]Call{GetVersion: p.version, GetRAMSize: p.ramSize}
	if p.CommandsV2 {
		p.calls[GetBIOSUUID], p.calls[GetHz], p.calls[GetVCPUInfo] = p.biosUUID, p.hertz, p.vcpuInfo
	}
	r := p.MapPorts("vmport", Base, 1, p)
	r.Impl.Min, r.Impl.Max = registerWidth, registerWidth
	return nil
}

// Register adds a call.
func (p *Port) Register(c Command, f Call) { p.calls[c] = f }

// By makes an access for a CPU. Preconditions: the machine lock is held.
func (p *Port) By(cpu accel.Registers, access func()) {
	p.cpu = cpu
	access()
	p.cpu = nil
}

// Read implements memory.Ops. Without a CPU there is nothing to call with.
func (p *Port) Read(uint64, int) uint64 {
	v := uint64(unknown)
	if p.cpu != nil {
		p.cpu.Registers(func(r *Registers) { v = uint64(p.call(r)) })
	}
	return v
}

// Write implements memory.Ops: it is a call as well.
func (p *Port) Write(uint64, int, uint64) {
	if p.cpu != nil {
		p.cpu.Registers(func(r *Registers) { r[x86.RAX] = uint64(p.call(r)) })
	}
}

// call carries out the call in the registers.
func (p *Port) call(r *Registers) uint32 {
	eax := uint32(r[x86.RAX])
	f := p.calls[Command(r[x86.RCX])]
	switch {
	case eax == Magic && f != nil:
		eax = f(r)
	case p.SignalUnsupported:
		eax = unknown
	}
	if p.ReadSetEAX {
		r[x86.RAX] = uint64(eax)
	}
	return eax
}

func (p *Port) version(r *Registers) uint32 {
	r[x86.RBX] = Magic
	if p.ReportType {
		r[x86.RCX] = uint64(p.Type)
	}
	return p.Version
}

func (p *Port) ramSize(r *Registers) uint32 {
	r[x86.RBX] = ramSizeEBX
	return uint32(p.cfg.RAM)
}

func (p *Port) biosUUID(r *Registers) uint32 {
	for i, n := range [4]int{x86.RAX, x86.RBX, x86.RCX, x86.RDX} {
		r[n] = uint64(binary.LittleEndian.Uint32(p.cfg.UUID[4*i:]))
	}
	return uint32(r[x86.RAX])
}

// hertz tells the rates of the time stamp counter and of the local APIC's bus, if they are known.
func (p *Port) hertz(r *Registers) uint32 {
	tsc, bus := p.cpu.Rates()
	if tsc == 0 || bus == 0 {
		r[x86.RBX] = unknown
		return uint32(r[x86.RAX])
	}
	r[x86.RAX], r[x86.RBX], r[x86.RCX] = uint64(uint32(tsc)), tsc>>32, bus
	return uint32(tsc)
}

func (p *Port) vcpuInfo(*Registers) uint32 {
	if p.cfg.X2APIC {
		return vcpuX2APIC
	}
	return 0
}
