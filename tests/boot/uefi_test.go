package boot

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Images of the package ovmf: the code, and an empty store for variables.
const (
	ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	ovmfVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
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
	for _, machine := range []string{"q35", "pc"} {
		t.Run(machine, func(t *testing.T) {
			dir := t.TempDir()
			goemu, store, flash := filepath.Join(dir, "goemu"), filepath.Join(dir, "vars.fd"), filepath.Join(dir, "code.fd")
			out, err := exec.Command("go", "build", "-o", goemu, "goemu/cmd/goemu").CombinedOutput()
			require.NoError(t, err, string(out))
			require.NoError(t, os.WriteFile(store, vars, 0o600))
			require.NoError(t, os.WriteFile(flash, code, 0o600))
			l := &live{t: t}
			cmd := exec.Command(goemu, "-M", machine, "-m", "256", "-display", "none", "-net", "none", "-serial", "stdio",
				"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+flash, "-drive", "if=pflash,format=raw,unit=1,file="+store)
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			l.in, cmd.Stdout, cmd.Stderr = in, l, l
			require.NoError(t, cmd.Start())
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			l.wait("to skip ")
			_, err = in.Write([]byte("\x1b"))
			require.NoError(t, err)
			l.wait("Shell> ")
			for _, c := range "set goemu kept\r" { // the shell's serial driver is slow
				_, err = in.Write([]byte(string(c)))
				require.NoError(t, err)
				time.Sleep(20 * time.Millisecond)
			}
			l.wait("Shell> ")
			for _, c := range "reset -s\r" {
				_, err = in.Write([]byte(string(c)))
				require.NoError(t, err)
				time.Sleep(20 * time.Millisecond)
			}
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
