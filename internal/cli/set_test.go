package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSet(t *testing.T) {
	r, err := Parse("goemu", []string{"-device", "virtio-scsi-pci,id=hba0,ioeventfd=on", "-drive", "if=none,id=d,file=a", "-set", "device.hba0.iothread=io", "-set", "device.hba0.ioeventfd=off",
		"-set", "drive.d.cache.direct=on", "-set", "drive.d.file=b,c"})
	require.NoError(t, err)
	v, _ := r.VM.Devices[0].Get("iothread")
	require.Equal(t, "io", v)
	v, _ = r.VM.Devices[0].Get("ioeventfd")
	require.Equal(t, "off", v)
	require.Equal(t, "if=none,id=d,file=a,cache.direct=on,file=b,,c", r.VM.Drives[0].Value)
	for arg, want := range map[string]string{ // QEMU's words
		"device.x.a=1": `there is no device "x" defined`, "foo": `can't parse: "foo"`, "foo.a.b=1": "There is no option group 'foo'", "a.b=c": `can't parse: "a.b=c"`,
	} {
		_, err := Parse("goemu", []string{"-set", arg})
		require.ErrorContains(t, err, want)
	}
}
