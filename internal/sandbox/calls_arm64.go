package sandbox

import "golang.org/x/sys/unix"

// arch is the calling convention that the process uses; foreign is beyond all its numbers.
const arch, foreign = unix.AUDIT_ARCH_AARCH64, 0x80000000

// never are calls that no emulator makes.
var never = []rule{{unix.SYS_REBOOT, kill}, {unix.SYS_SWAPON, kill}, {unix.SYS_SWAPOFF, kill}, {unix.SYS_SYSLOG, kill}, {unix.SYS_MOUNT, kill}, {unix.SYS_UMOUNT2, kill},
	{unix.SYS_KEXEC_LOAD, kill}}

// obsolete are calls that newer ones have replaced: there are none.
var obsolete []rule

// privileges are calls that change who the process is.
var privileges = []rule{{unix.SYS_SETUID, kill}, {unix.SYS_SETGID, kill}, {unix.SYS_SETPGID, kill}, {unix.SYS_SETSID, kill}, {unix.SYS_SETREUID, kill},
	{unix.SYS_SETREGID, kill}, {unix.SYS_SETRESUID, kill}, {unix.SYS_SETRESGID, kill}, {unix.SYS_SETFSUID, kill}, {unix.SYS_SETFSGID, kill}}

// spawn are calls that make processes; clone is looked at more closely.
var spawn = []rule{{unix.SYS_EXECVE, kill}, {unix.SYS_EXECVEAT, kill}, {unix.SYS_CLONE3, lack}, {unix.SYS_SETNS, kill}, {unix.SYS_UNSHARE, kill}}

// resources are calls that change how the process is scheduled.
var resources = []rule{{unix.SYS_SETPRIORITY, deny}, {unix.SYS_SCHED_SETPARAM, deny}, {unix.SYS_SCHED_SETSCHEDULER, deny}, {unix.SYS_SCHED_SETAFFINITY, deny}}
