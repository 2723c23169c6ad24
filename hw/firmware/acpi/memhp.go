package acpi

import "fmt"

// The registers for memory modules (QEMU's docs/specs/acpi_mem_hotplug.rst) and the objects of the modules.
const (
	dimmPorts      = 24
	dimmFlagsStart = 160 // bits before the flags
	dimmBoard      = "\\_SB.PCI0.MHPD"
	dimmContainer  = "\\_SB.MHPC"
	dimmLock       = "MLCK"

	// Offsets in address space descriptors (ACPI 6.4.3.5).
	qwordMin, qwordMax, qwordLength = 14, 22, 38
	dwordMin, dwordMax, dwordLength = 10, 14, 22
)

// memoryModules is the registers for memory modules, and the slots with the methods that use them.
func (m *Machine) memoryModules() []byte {
	if m.MemorySlots == 0 {
		return nil
	}
	return cat(
		device(dimmBoard,
			name("_HID", str("PNP0A06")),
			name("_UID", str("Memory hotplug resources")),
			name("_CRS", resources(ioPorts(m.MemoryHotplug, 0, dimmPorts))),
			opRegion("HPMR", spaceIO, uint64(m.MemoryHotplug), dimmPorts)),
		device(dimmContainer,
			name("_HID", str("PNP0A06")),
			name("_UID", str("DIMM devices")),
			name("MDNR", num(uint64(m.MemorySlots))),
			field(dimmBoard+".HPMR", fieldDWordAcc, fieldUnit{"MRBL", 32}, fieldUnit{"MRBH", 32}, fieldUnit{"MRLL", 32}, fieldUnit{"MRLH", 32}, fieldUnit{"MPX", 32}),
			field(dimmBoard+".HPMR", fieldByteAcc|fieldWriteZeroes, fieldUnit{"", dimmFlagsStart}, fieldUnit{"MES", 1}, fieldUnit{"MINS", 1}, fieldUnit{"MRMV", 1}, fieldUnit{"MEJ", 1}),
			field(dimmBoard+".HPMR", fieldDWordAcc, fieldUnit{"MSEL", 32}, fieldUnit{"MOEV", 32}, fieldUnit{"MOSC", 32}),
			method("_STA", 0, notSerialized, ifThen(compare(opLEqual, path("MDNR"), num(0)), ret(num(0))), ret(num(staHidden))),
			mutex(dimmLock),
			dimmScan(),
			dimmMethod("MRST", 1, notSerialized, func(lock, unlock []byte) []byte {
				return cat(store(num(0), local(0)), lock, ifThen(compare(opLEqual, path("MES"), num(1)), store(num(staPresent), local(0))), unlock, ret(local(0)))
			}),
			dimmMethod("MCRS", 1, serialized, dimmResources),
			dimmMethod("MPXM", 1, notSerialized, func(lock, unlock []byte) []byte {
				return cat(lock, store(path("MPX"), local(0)), unlock, ret(local(0)))
			}),
			dimmMethod("MOST", 4, notSerialized, func(lock, unlock []byte) []byte {
				return cat(lock, store(arg(1), path("MOEV")), store(arg(2), path("MOSC")), unlock)
			}),
			dimmMethod("MEJ0", 2, notSerialized, func(lock, unlock []byte) []byte { return cat(lock, store(num(1), path("MEJ")), unlock) }),
			m.dimmSlots()),
		method("\\_GPE._E03", 0, notSerialized, call(dimmContainer+".MSCN")))
}

// dimmMethod is a method about the slot that its first argument names: lock also selects that.
func dimmMethod(n string, args int, flags byte, body func(lock, unlock []byte) []byte) []byte {
	slot := cat([]byte{opToInteger}, arg(0), num(0))
	return method(n, args, flags, body(cat(acquire(dimmLock), store(slot, path("MSEL"))), release(dimmLock)))
}

// dimmScan tells of all modules that have come or are to go.
func dimmScan() []byte {
	slot := local(0)
	is := func(n string) []byte { return compare(opLEqual, path(n), num(1)) }
	tell := func(flag string, what uint64) []byte {
		return cat(call("MTFY", slot, num(what)), store(num(1), path(flag)))
	}
	return method("MSCN", 0, notSerialized,
		ifThen(compare(opLEqual, path("MDNR"), num(0)), ret(num(0))),
		store(num(0), slot),
		acquire(dimmLock),
		while(compare(opLLess, slot, path("MDNR")),
			store(slot, path("MSEL")),
			ifThen(is("MINS"), tell("MINS", notifyCheck)),
			orElse(ifThen(is("MRMV"), tell("MRMV", notifyEject))),
			operator(opAdd, slot, num(1), slot)),
		release(dimmLock),
		ret(num(1)))
}

// dimmResources is where a module lies: the numbers have 32 bits in the code of this table.
func dimmResources(lock, unlock []byte) []byte {
	dword := func(buf string, at uint64, n string) []byte { return createDWordField(path(buf), num(at), n) }
	add := func(a, b, to string) []byte { return operator(opAdd, path(a), path(b), path(to)) }
	return cat(lock,
		name("MR64", resources(qwordMemory(memCacheable|memReadWrite, 0, 0xfffffffffffffffe))),
		dword("MR64", qwordMin, "MINL"), dword("MR64", qwordMin+4, "MINH"),
		dword("MR64", qwordLength, "LENL"), dword("MR64", qwordLength+4, "LENH"),
		dword("MR64", qwordMax, "MAXL"), dword("MR64", qwordMax+4, "MAXH"),
		store(path("MRBH"), path("MINH")), store(path("MRBL"), path("MINL")), store(path("MRLH"), path("LENH")), store(path("MRLL"), path("LENL")),
		add("MINL", "LENL", "MAXL"), add("MINH", "LENH", "MAXH"),
		ifThen(compare(opLLess, path("MAXL"), path("MINL")), operator(opAdd, path("MAXH"), num(1), path("MAXH"))),
		ifThen(compare(opLLess, path("MAXL"), num(1)), operator(opSubtract, path("MAXH"), num(1), path("MAXH"))),
		operator(opSubtract, path("MAXL"), num(1), path("MAXL")),
		ifThen(compare(opLEqual, path("MAXH"), num(0)),
			name("MR32", resources(dwordMemory(memCacheable|memReadWrite, 0, 0xfffffffe))),
			dword("MR32", dwordMin, "MIN"), dword("MR32", dwordMax, "MAX"), dword("MR32", dwordLength, "LEN"),
			store(path("MINL"), path("MIN")), store(path("MAXL"), path("MAX")), store(path("LENL"), path("LEN")),
			unlock, ret(path("MR32"))),
		unlock, ret(path("MR64")))
}

// dimmSlots are the objects of the slots.
func (m *Machine) dimmSlots() (b []byte) {
	var notify []byte
	uid := path("_UID")
	for i := range m.MemorySlots {
		n := fmt.Sprintf("MP%02X", i)
		b = cat(b, device(n,
			name("_UID", str(fmt.Sprintf("0x%02X", i))),
			name("_HID", eisaID("PNP0C80")),
			method("_CRS", 0, notSerialized, ret(call("MCRS", uid))),
			method("_STA", 0, notSerialized, ret(call("MRST", uid))),
			method("_PXM", 0, notSerialized, ret(call("MPXM", uid))),
			method("_OST", 3, notSerialized, call("MOST", uid, arg(0), arg(1), arg(2))),
			method("_EJ0", 1, notSerialized, call("MEJ0", uid, arg(0)))))
		notify = cat(notify, ifThen(compare(opLEqual, arg(0), num(uint64(i))), notifyDevice(n)))
	}
	return cat(b, method("MTFY", 2, notSerialized, notify))
}
