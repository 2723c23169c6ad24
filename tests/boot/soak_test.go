package boot

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/tests/guest"
)

var soak = flag.Duration("soak", 0, "how long each guest of TestSoak works (0: not at all)")

// selfTests are modules of the kernel that test themselves when they are loaded: ciphers and hashes against known results (each
// implementation for each instruction set), BPF's translator, RAID's and XOR's functions, copying to and from user space, code patching.
var selfTests = strings.Fields(`xor raid6_pq test_user_copy test_static_key_base test_static_keys test_bpf
	cryptd crypto_simd aesni-intel ghash-clmulni-intel sha1-ssse3 sha256-ssse3 sha512-ssse3 crc32c-intel crc32-pclmul crct10dif-pclmul
	blowfish-x86_64 twofish-x86_64 twofish-x86_64-3way twofish-avx-x86_64 serpent-sse2-x86_64 serpent-avx-x86_64 serpent-avx2 cast5-avx-x86_64
	cast6-avx-x86_64 camellia-x86_64 camellia-aesni-avx-x86_64 camellia-aesni-avx2 des3_ede-x86_64 chacha-x86_64 poly1305-x86_64
	nhpoly1305-sse2 nhpoly1305-avx2 aegis128-aesni curve25519-x86_64`)

// soakScript keeps busybox at work beside the Go program.
const soakScript = `
(while [ ! -e /tmp/end ]; do
	for i in 1 2 3 4 5; do find /bin /sys/class 2>/dev/null | sort | tar cf - -T - 2>/dev/null | gzip | gunzip | md5sum >/tmp/sum; done
	awk 'BEGIN { for (i = 0; i < 100000; i++) s += i; if (s != 4999950000) print "SOAK awk", s }'
	seq 1 20000 | sort -rn | tail -1 | grep -q '^1$' || echo SOAK sort
done) &
/bin/soak $1; status=$?
touch /tmp/end; wait
uptime
exit $status
`

// complaints are lines of a kernel or of the programs that must not appear.
var complaints = regexp.MustCompile(`BUG:|Oops|Call Trace|WARNING:|unchecked MSR|soft lockup|stall|segfault|alg: .*(fail|error)|SOAK (awk|sort)|[1-9]\d* FAILED`)

// TestSoak lets guests with one, two and four CPUs work for as long as -soak says.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("SKIPPED: -soak 2m (or another time) lets guests work for so long")
	}
	f := prepare(t, "amd64")
	dir := t.TempDir()
	program, script := filepath.Join(dir, "soak"), filepath.Join(dir, "soak.sh")
	out, err := exec.Command("go", "build", "-o", program, "goemu/tests/guest/soak").CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.WriteFile(script, []byte(soakScript), 0o755))
	bb, err := guest.GetBusybox()
	require.NoError(t, err)
	require.NoError(t, guest.WriteInitramfs(f.initrd, guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: append(selfTests, guest.DefaultModules...),
		Files: map[string]string{"bin/soak": program, "bin/soak.sh": script}}))
	for _, cpus := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("smp%d", cpus), func(t *testing.T) {
			out := f.boot(t, "sh /bin/soak.sh "+soak.String(), *soak*3+10*time.Minute, "-smp", fmt.Sprint(cpus), "-m", "1G")
			for line := range strings.SplitSeq(out, "\n") {
				if complaints.MatchString(line) {
					t.Errorf("the guest complains: %s", line)
				}
			}
			require.Regexp(t, `test_bpf: Summary: \d+ PASSED, 0 FAILED`, out)
			t.Log(regexp.MustCompile(`SOAK .*`).FindString(out))
		})
	}
}
