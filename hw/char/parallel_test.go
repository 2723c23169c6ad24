package char

import (
	"testing"

	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// FuzzParallel lets a fuzzer access a parallel port; what it shows then survives being saved and loaded.
func FuzzParallel(f *testing.F) {
	f.Add([]byte("\x80A\x82\x0d\x82\x0c\x01\x01\x82\x3c\x00\x87\xff\x40"))
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newRig(t)
		r.chardev(t, "null,id=p")
		d, err := r.add(t, &ParallelClass, "chardev=p")
		if err != nil {
			t.Fatal(err)
		}
		qdev.Reset(d)
		p := d.(*Parallel)
		for ; len(script) > 0; script = script[1:] {
			port := 0x378 + uint16(script[0]&7)
			switch {
			case script[0]&0x80 != 0 && len(script) > 1:
				r.out(port, script[1])
				script = script[1:]
			case script[0]&0x40 != 0:
				qdev.Reset(d)
			default:
				r.in(port)
			}
		}
		before := p.parallelRegs
		var w vmstate.Writer
		d.Dev().State().Save(&w)
		p.parallelRegs = parallelRegs{}
		if err := d.Dev().State().Load(vmstate.NewReader(w.Bytes()), 1); err != nil || p.parallelRegs != before {
			t.Fatalf("%v: %+v, before %+v", err, p.parallelRegs, before)
		}
		qdev.Unrealize(d)
	})
}
