package nvme

import (
	"strings"
	"testing"

	"goemu/hw/virtio/virtiotest"
)

// attachments is what is said about a subsystem with two controllers: who has which namespace, and then that they come and go.
func attachments() (all []cmd) {
	for _, cns := range []uint32{0x00, 0x02, 0x03, 0x05, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x1a, 0x1b} {
		for _, id := range []uint32{0, 1, 2, 300, allNamespaces} {
			all = append(all, cmd{op: admIdentify, nsid: id, dw: [6]uint32{cns}, in: 128}, cmd{op: admIdentify, nsid: id, dw: [6]uint32{1<<16 | cns}, in: 8})
		}
	}
	all = append(all, cmd{op: admIdentify, dw: [6]uint32{cnsController}, in: idSerial}, cmd{op: admSetFeatures, dw: [6]uint32{featEvents, 0xffff}})
	to := func(what uint32, id uint32, controllers ...uint16) {
		list := le.AppendUint16(nil, uint16(len(controllers)))
		for _, c := range controllers {
			list = le.AppendUint16(list, c)
		}
		all = append(all, cmd{op: admAttach, nsid: id, dw: [6]uint32{what}, data: list},
			cmd{op: admIdentify, dw: [6]uint32{cnsActiveList}, in: 8}, cmd{op: admIdentify, nsid: 1, dw: [6]uint32{cnsControllersOf}, in: 8},
			cmd{op: admGetLog, dw: [6]uint32{3<<16 | logChanged}, in: 16}, cmd{queue: 1, op: cmdRead, nsid: 1, in: 16})
	}
	to(attachNamespace, 1)
	to(attachNamespace, 0, 0)
	to(attachNamespace, 2, 0)
	to(attachNamespace, 1, 9)
	to(attachNamespace, 1, 300)
	to(7, 1, 0)
	for range 2 {
		to(detachNamespace, 1, 0)
		to(attachNamespace, 1, 1)
		to(attachNamespace, 1, 0, 1)
		to(detachNamespace, 1, 1, 0)
		to(attachNamespace, 1, 0)
	}
	return all
}

// TestSubsystem holds the same conversation with QEMU's controllers and ours: of namespaces for all controllers, for one, and for none at first.
func TestSubsystem(t *testing.T) {
	for _, options := range []string{"", ",shared=off", ",detached=on", ",detached=on,shared=off"} {
		t.Run(options, func(t *testing.T) {
			devices := []string{"nvme-subsys,id=s,nqn=sub", "nvme,id=n,serial=ABC,addr=5,subsys=s", "nvme,serial=ABC,addr=6,subsys=s", "nvme-ns,drive=d,bus=n,nsid=1,uuid=" + uuid + options}
			o := newOurs(t, image(t), devices...)
			a, b := start(t, o), start(t, newQEMU(t, image(t), devices...))
			a.queues()
			b.queues()
			for i, m := range attachments() {
				got, want := strings.Fields(a.send(m)), strings.Fields(b.send(m))
				for k := range want {
					formats := m.op == admIdentify && (m.dw[0] == cnsNamespace || m.dw[0] == cnsPresent) && k >= 30 && k < 32 // without metadata
					if !formats && got[k] != want[k] {
						t.Errorf("%d: %+v: at %d: %s, want %s", i, m, k, got[k], want[k])
						break
					}
				}
			}
			for _, c := range []*client{a, b} {
				c.send(cmd{op: admAsyncEvent, post: true})
				c.send(cmd{op: admAttach, nsid: 1, dw: [6]uint32{detachNamespace}, data: []byte{1, 0, 0, 0}, post: true})
			}
			for range 2 {
				if got, want := a.completion(0), b.completion(0); got != want {
					t.Errorf("event: %s, want %s", got, want)
				}
			}
			virtiotest.Locked(func() {
				s := o.Tree.Find("s").(*Subsystem)
				if n := s.bus.Devices(); len(n) != 1 || len(o.Tree.Find("n").(*Controller).bus.Devices()) != 0 {
					t.Errorf("%v on the subsystem's bus", n)
				}
			})
		})
	}
}
