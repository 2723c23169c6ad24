package boot

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// Images of the package ovmf: the code, an empty store for variables, and both in one.
const (
	ovmfCode  = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	ovmfVars  = "/usr/share/OVMF/OVMF_VARS_4M.fd"
	ovmfWhole = "/usr/share/ovmf/OVMF.fd"
)

// TestUEFI starts the UEFI firmware from flash to its shell and off again. The variables are kept, the code
// is not written to.
func TestUEFI(t *testing.T) {
	if testing.Short() {
		t.Skip("whole boots take seconds each")
	}
	code, err := os.ReadFile(ovmfCode)
	if err != nil {
		t.Skip("ORACLE MISSING: no firmware from package ovmf: ", err)
	}
	vars, err := os.ReadFile(ovmfVars)
	require.NoError(t, err)
	goemu := testprog.Goemu(t)
	for _, machine := range []string{"q35", "pc"} {
		t.Run(machine, func(t *testing.T) {
			dir := t.TempDir()
			store, flash := filepath.Join(dir, "vars.fd"), filepath.Join(dir, "code.fd")
			require.NoError(t, os.WriteFile(store, vars, 0o600))
			require.NoError(t, os.WriteFile(flash, code, 0o600))
			l, cmd := launch(t, goemu, "-M", machine, "-m", "256", "-display", "none", "-net", "none", "-serial", "stdio",
				"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+flash, "-drive", "if=pflash,format=raw,unit=1,file="+store)
			l.wait("to skip ")
			l.press("\x1b")
			l.wait("Shell> ")
			l.press("set goemu kept\r")
			l.wait("Shell> ")
			l.press("reset -s\r")
			require.NoError(t, cmd.Wait(), "the shell switches the machine off")
			after, err := os.ReadFile(flash)
			require.NoError(t, err)
			require.Equal(t, code, after)
			after, err = os.ReadFile(store)
			require.NoError(t, err)
			require.NotEqual(t, vars, after, "variables are kept")
		})
	}
}

// TestUEFILinux boots a kernel by the UEFI firmware, in flash and as an image, which hands it ACPI tables; by them the guest switches the machine off.
func TestUEFILinux(t *testing.T) {
	for _, image := range []string{ovmfCode, ovmfWhole} {
		if _, err := os.Stat(image); err != nil {
			t.Skip("ORACLE MISSING: no firmware from package ovmf: ", err)
		}
	}
	firmware := map[string][]string{"pc": {"-bios", ovmfWhole},
		"q35": {"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + ovmfCode, "-drive", "if=pflash,format=raw,unit=1,snapshot=on,file=" + ovmfVars}}
	f := prepare(t, "cloud-amd64")
	for machine, tables := range map[string][]string{"pc": {"APIC", "FACP", "HPET", "WAET"}, "q35": {"APIC", "FACP", "HPET", "MCFG", "WAET"}} {
		t.Run(machine, func(t *testing.T) {
			out := f.boot(t, "ls -1 /sys/firmware /sys/firmware/acpi/tables", 4*time.Minute, append([]string{"-M", machine, "-net", "none"}, firmware[machine]...)...)
			require.Contains(t, out, "\nefi\n")
			for _, name := range tables {
				require.Contains(t, out, "\n"+name+"\n")
			}
			for _, bad := range []string{"ACPI Error", "ACPI BIOS Error", "Invalid checksum", "Call Trace"} {
				require.NotContains(t, out, bad)
			}
		})
	}
}

// press sends keys one by one: the serial driver of the firmware's shell is slow.
func (l *live) press(keys string) {
	l.t.Helper()
	for _, c := range keys {
		_, err := l.in.Write([]byte(string(c)))
		require.NoError(l.t, err)
		time.Sleep(20 * time.Millisecond)
	}
}
