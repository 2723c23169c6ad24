package cli

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestErrorsAsQEMU gives the same wrong command lines to QEMU and to the parser: the messages are the same.
func TestErrorsAsQEMU(t *testing.T) {
	qemu := testprog.QEMU(t)
	for _, args := range [][]string{
		{"-foo"}, {"-S", "--bar"}, {"-kernel"}, {"-append", "x", "-display", "none"}, {"-initrd", "x", "-display", "none"},
		{"-m", "foo"}, {"-m", "-1"}, {"-m", "1G,foo=2"}, {"-m", "2G,maxmem=1G,slots=1"}, {"-m", "1G,slots=2"},
		{"-uuid", "zz"}, {"-name", "foo,bar=1"}, {"-rtc", "clock=foo"}, {"-display", "foo"}, {"-readconfig", "/nonexistent"},
		{"-display", "none", "-smp", "4,sockets=3"}, {"-display", "none", "-smp", "8,maxcpus=4"},
		{"-nographic", "-daemonize"}, {"-machine", "pc", "-m", "99999999999999999999"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, qemu, args...).CombinedOutput()
			require.NoError(t, ctx.Err(), "QEMU accepts this")
			require.Error(t, err)
			var want []string
			for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
				if !strings.HasPrefix(l, "qemu: module") {
					want = append(want, l)
				}
			}
			_, got := Parse("qemu-system-x86_64", args)
			require.EqualError(t, got, strings.TrimPrefix(strings.Join(want, "\n"), "qemu-system-x86_64: "))
		})
	}
}
