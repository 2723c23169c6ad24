package acpi

import "fmt"

// The registers for hot-plugging (package pm): offsets from their base, and the mutex that guards the selector.
const (
	pciFunctions                   = 8 // of a slot
	pciHotplugPorts                = 0x18
	pciHotplugEject, pciHotplugBus = 0x08, 0x10
	pciHotplugMutex                = "BLCK"
)

// Functions of _DSM for PCI devices (PCI Firmware Specification 3.1, section 4.6): which there are, and the device's name.
const (
	pciDSM         = "E5C937D0-3553-4D7A-9117-EA4D19C3434D"
	dsmQuery       = 0
	dsmName        = 7
	noSuchRegister = 0xffffffff
)

// Notifications.
const (
	notifyCheck = 1
	notifyEject = 3
)

// pciHotplugRegisters are the registers with the methods that use them.
func pciHotplugRegisters(port uint64) []byte {
	const writeFlags = fieldDWordAcc | fieldWriteZeroes
	locked := func(reg string) []byte {
		return cat(acquire(pciHotplugMutex), store(arg(0), path("BNUM")), store(shiftLeft(num(1), arg(1)), path(reg)))
	}
	return scope("_SB.PCI0",
		opRegion("PCST", spaceIO, port, 8),
		field("PCST", writeFlags, fieldUnit{"PCIU", 32}, fieldUnit{"PCID", 32}),
		opRegion("SEJ", spaceIO, port+pciHotplugEject, 4),
		field("SEJ", writeFlags, fieldUnit{"B0EJ", 32}),
		opRegion("BNMR", spaceIO, port+pciHotplugBus, 8),
		field("BNMR", writeFlags, fieldUnit{"BNUM", 32}, fieldUnit{"PIDX", 32}),
		mutex(pciHotplugMutex),
		method("PCEJ", 2, notSerialized, locked("B0EJ"), release(pciHotplugMutex), ret(num(0))),
		method("AIDX", 2, notSerialized, locked("PIDX"), store(path("PIDX"), local(0)), release(pciHotplugMutex), ret(local(0))),
		deviceSpecific())
}

// deviceSpecific is what the _DSM methods of all PCI devices call, with the bus's selector and the slot as a package.
func deviceSpecific() []byte {
	result, caps, label := local(0), local(1), local(2)
	function := arg(2)
	getLabel := store(call("AIDX", derefOf(index(arg(4), num(0))), derefOf(index(arg(4), num(1)))), label)
	is := func(n uint64) []byte { return compare(opLEqual, label, num(n)) }
	return method("PDSM", 5, serialized,
		ifThen(compare(opLEqual, function, num(dsmQuery)),
			store(buffer([]byte{0}), result),
			store(num(0), caps),
			ifThen(not(compare(opLEqual, arg(0), uuid(pciDSM))), ret(result)),
			ifThen(compare(opLLess, arg(1), num(2)), ret(result)),
			getLabel,
			ifThen(not(operator(opOr, is(0), is(noSuchRegister), nil)),
				operator(opOr, caps, num(1), caps),
				operator(opOr, caps, shiftLeft(num(1), num(dsmName)), caps)),
			store(caps, index(result, num(0))),
			ret(result)),
		ifThen(compare(opLEqual, function, num(dsmName)),
			getLabel,
			store(emptyPackage(2), result),
			ifThen(not(compare(opLOr, is(0), is(noSuchRegister))),
				store(label, index(result, num(0))),
				store(str(""), index(result, num(1)))),
			ret(result)))
}

// pciHotplugEvent is the general purpose event that tells of hot-plugging.
func pciHotplugEvent() []byte {
	const root = "\\_SB.PCI0."
	return scope("_GPE", method("_E01", 0, notSerialized, acquire(root+pciHotplugMutex), call(root+"PCNT"), release(root+pciHotplugMutex)))
}

// pciDevices are the functions on the buses, and the slots into which a device may be plugged.
func (m *Machine) pciDevices() []byte {
	return scope("\\_SB", scope("PCI0", m.bus(&m.PCI.Root)))
}

func slotName(devfn int) string { return fmt.Sprintf("S%02X", devfn) }

// bus shows the functions of a bus.
func (m *Machine) bus(b *Bus) (out []byte) {
	var notify []byte
	hot := b.Selector != NoSelector
	if hot {
		out = name("BSEL", num(uint64(b.Selector)))
	}
	devices := b.Devices
	for devfn := range pciSlots * pciFunctions {
		var d *PCIDevice
		if len(devices) > 0 && int(devices[0].DevFn) == devfn {
			d, devices = &devices[0], devices[1:]
		}
		if d == nil && hot && b.Express && devfn != 0 && devfn%pciFunctions == 0 { // a link has one slot
			break
		}
		body, plug, ok := m.slot(b, d, devfn)
		if !ok {
			continue
		}
		if plug {
			notify = cat(notify, ifThen(operator(opAnd, arg(0), num(1<<(devfn/pciFunctions)), nil), notifyDevice(slotName(devfn))))
		}
		out = cat(out, device(slotName(devfn), body))
	}
	if hot {
		out = cat(out, method("DVNT", 2, notSerialized, notify))
	}
	return cat(out, m.notifyBus(b))
}

func notifyDevice(n string) []byte { return cat([]byte{opNotify}, path(n), arg(1)) }

// slot shows a function, or an empty slot if d is nil; plug says whether a device may come or go there.
func (m *Machine) slot(b *Bus, d *PCIDevice, devfn int) (body []byte, plug, ok bool) {
	slot, fn := devfn/pciFunctions, devfn%pciFunctions
	hot := b.Selector != NoSelector
	switch {
	case d == nil:
		if !hot || fn != 0 {
			return nil, false, false
		}
		plug = true
	default:
		if fn != 0 && (d.Bridge == nil || !m.PCI.HotplugBridges) && d.Kind == PCIPlain {
			return nil, false, false
		}
		plug = hot && d.Removable && d.Bridge == nil
	}
	body = name("_ADR", num(uint64(slot<<16|fn)))
	if hot {
		body = cat(body, name("ASUN", num(uint64(slot))), method("_DSM", 4, serialized,
			store(packageOf(path("BSEL"), path("ASUN")), local(0)),
			ret(call("PDSM", arg(0), arg(1), arg(2), arg(3), local(0)))))
	}
	if d != nil {
		body = cat(body, m.pciKind(d.Kind))
		if d.Bridge != nil && m.PCI.HotplugBridges {
			body = cat(body, m.bus(d.Bridge))
		}
	}
	if plug {
		body = cat(body, name("_SUN", num(uint64(slot))), method("_EJ0", 1, notSerialized, call("PCEJ", path("BSEL"), path("_SUN"))))
	}
	return body, plug, true
}

// notifyBus is the method that tells of what has happened on a bus and those behind it.
func (m *Machine) notifyBus(b *Bus) []byte {
	hot := b.Selector != NoSelector
	if !hot && !m.PCI.HotplugBridges {
		return nil
	}
	var body []byte
	if hot {
		body = cat(store(num(uint64(b.Selector)), path("BNUM")), call("DVNT", path("PCIU"), num(notifyCheck)), call("DVNT", path("PCID"), num(notifyEject)))
	}
	if m.PCI.HotplugBridges {
		for _, devfn := range b.Behind {
			body = cat(body, call("^"+slotName(int(devfn))+".PCNT"))
		}
	}
	return method("PCNT", 0, notSerialized, body)
}

// pciKind is what the tables say about a kind of function.
func (m *Machine) pciKind(k PCIKind) []byte {
	switch k {
	case PCIVGA:
		state := func(n string) []byte { return method(n, 0, notSerialized, ret(num(0))) }
		return cat(state("_S1D"), state("_S2D"), state("_S3D"))
	case PCIISABridge:
		if m.PCI.Express {
			return cat(opRegion("PIRQ", spacePCIConfig, pirqRegs, 12), scope("\\_SB", field("PCI0.SF8.PIRQ", fieldByteAcc,
				fieldUnit{"PRQA", 8}, fieldUnit{"PRQB", 8}, fieldUnit{"PRQC", 8}, fieldUnit{"PRQD", 8}, fieldUnit{"", 32},
				fieldUnit{"PRQE", 8}, fieldUnit{"PRQF", 8}, fieldUnit{"PRQG", 8}, fieldUnit{"PRQH", 8})), m.isaDevices())
		}
		return cat(opRegion("P40C", spacePCIConfig, pirqRegs, 4), scope("\\_SB", field("PCI0.S08.P40C", fieldByteAcc,
			fieldUnit{"PRQ0", 8}, fieldUnit{"PRQ1", 8}, fieldUnit{"PRQ2", 8}, fieldUnit{"PRQ3", 8})), m.isaDevices())
	}
	return nil
}
