//! The seccomp part of S1: system calls that lead out of the sandbox or into rarely used kernel
//! code answer "not permitted".

use super::ConfineError;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Denied whatever their arguments are.
const DENIED: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_lookup_dcookie,
    libc::SYS_memfd_secret,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_fanotify_init,
];

#[cfg(target_arch = "x86_64")]
const DENIED_OF_THIS_MACHINE: &[i64] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    // Numbers that only the x32 personality has: ptrace, process_vm_readv, process_vm_writev,
    // kexec_load.
    X32_BIT | 0x209,
    X32_BIT | 0x21b,
    X32_BIT | 0x21c,
    X32_BIT | 0x210,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_OF_THIS_MACHINE: &[i64] = &[libc::SYS_kexec_file_load];

/// The x32 personality has the same calls at other numbers; a filter that forgets them is open.
#[cfg(target_arch = "x86_64")]
const X32_BIT: i64 = 0x4000_0000;
#[cfg(target_arch = "x86_64")]
const X32_IOCTL: i64 = X32_BIT | 0x202;

/// Flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: &[libc::c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// `TIOCSTI`; the C library's constant differs in type between platforms.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
/// Requests of `ioctl` that type into a terminal.
const TYPING_REQUESTS: &[u64] = &[TIOCSTI, TIOCLINUX];

/// Asks `personality` for the present value.
const PERSONALITY_QUERY: u64 = 0xffff_ffff;
/// The part of a socket type that is not a flag.
const SOCKET_TYPE_MASK: u64 = 0xf;

/// Installs the filters on the calling thread.
pub(super) fn restrict() -> Result<(), ConfineError> {
    for filter in filters().map_err(ConfineError::CompileFilter)? {
        apply_filter(&filter).map_err(ConfineError::InstallFilter)?;
    }
    Ok(())
}

fn filters() -> Result<[BpfProgram; 2], BackendError> {
    // "No such call" and not "not permitted": the C library then falls back to `clone`, whose
    // flags a filter can read.
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    Ok([
        compile(on_all_personalities(clone3), libc::ENOSYS)?,
        compile(on_all_personalities(denied_rules()?), libc::EPERM)?,
    ])
}

fn compile(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, BackendError> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, answer, arch)?.try_into()
}

#[cfg(target_arch = "x86_64")]
fn on_all_personalities(mut rules: Rules) -> Rules {
    let shifted: Vec<_> = rules
        .iter()
        .map(|(number, conditions)| match *number {
            libc::SYS_ioctl => (X32_IOCTL, conditions.clone()),
            number => (number | X32_BIT, conditions.clone()),
        })
        .collect();
    rules.extend(shifted);
    rules
}

#[cfg(not(target_arch = "x86_64"))]
fn on_all_personalities(rules: Rules) -> Rules {
    rules
}

fn denied_rules() -> Result<Rules, BackendError> {
    let mut rules: Rules = DENIED
        .iter()
        .chain(DENIED_OF_THIS_MACHINE)
        .map(|number| (*number, Vec::new()))
        .collect();
    rules.insert(libc::SYS_clone, namespace_rules()?);
    rules.insert(libc::SYS_ioctl, typing_rules()?);
    rules.insert(libc::SYS_socket, socket_rules()?);
    rules.insert(libc::SYS_socketpair, socket_pair_rules()?);
    let unusual = [
        condition(0, SeccompCmpOp::Ne, 0)?,
        condition(0, SeccompCmpOp::Ne, PERSONALITY_QUERY)?,
    ];
    rules.insert(
        libc::SYS_personality,
        vec![SeccompRule::new(unusual.into())?],
    );
    for (number, mode_argument) in chmod_calls() {
        rules.insert(number, set_id_rules(mode_argument)?);
    }
    Ok(rules)
}

fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn one_of(conditions: Vec<SeccompCondition>) -> Result<Vec<SeccompRule>, BackendError> {
    conditions
        .into_iter()
        .map(|one| SeccompRule::new(vec![one]))
        .collect()
}

fn bit_set(argument: u8, bit: u64) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::MaskedEq(bit), bit)
}

fn namespace_rules() -> Result<Vec<SeccompRule>, BackendError> {
    let flags: Result<Vec<_>, _> = NAMESPACE_FLAGS
        .iter()
        .map(|flag| bit_set(0, u64::from(flag.cast_unsigned())))
        .collect();
    one_of(flags?)
}

fn typing_rules() -> Result<Vec<SeccompRule>, BackendError> {
    let requests: Result<Vec<_>, _> = TYPING_REQUESTS
        .iter()
        .map(|request| condition(1, SeccompCmpOp::Eq, *request))
        .collect();
    one_of(requests?)
}

/// Only IP, and of netlink only the part that name resolution asks for addresses. Unix sockets
/// would reach the container engine, the session bus and key agents of the node's user.
fn socket_rules() -> Result<Vec<SeccompRule>, BackendError> {
    let family = |value: libc::c_int| u64::from(value.cast_unsigned());
    let other_family = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]
        .into_iter()
        .map(|allowed| condition(0, SeccompCmpOp::Ne, family(allowed)))
        .collect::<Result<Vec<_>, _>>()?;
    let other_netlink = vec![
        condition(0, SeccompCmpOp::Eq, family(libc::AF_NETLINK))?,
        condition(2, SeccompCmpOp::Ne, family(libc::NETLINK_ROUTE))?,
    ];
    Ok(vec![
        SeccompRule::new(other_family)?,
        SeccompRule::new(other_netlink)?,
    ])
}

/// Connected pairs between an attempt's own processes are harmless, except datagram ones: they
/// can still be pointed at any path.
fn socket_pair_rules() -> Result<Vec<SeccompRule>, BackendError> {
    let is_type = SeccompCmpOp::MaskedEq(SOCKET_TYPE_MASK);
    let unix = u64::from(libc::AF_UNIX.cast_unsigned());
    let datagram = u64::from(libc::SOCK_DGRAM.cast_unsigned());
    // The kernel makes a datagram socket of a raw one.
    let raw = u64::from(libc::SOCK_RAW.cast_unsigned());
    one_of(vec![
        condition(0, SeccompCmpOp::Ne, unix)?,
        condition(1, is_type.clone(), datagram)?,
        condition(1, is_type, raw)?,
    ])
}

/// Calls that change a mode, with the position of the mode.
fn chmod_calls() -> Vec<(i64, u8)> {
    vec![
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_chmod, 1),
        (libc::SYS_fchmod, 1),
        (libc::SYS_fchmodat, 2),
        (libc::SYS_fchmodat2, 2),
    ]
}

fn set_id_rules(mode_argument: u8) -> Result<Vec<SeccompRule>, BackendError> {
    one_of(vec![
        bit_set(mode_argument, u64::from(libc::S_ISUID))?,
        bit_set(mode_argument, u64::from(libc::S_ISGID))?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_fit_into_the_kernels_bound() {
        const INSTRUCTIONS_MAX: usize = 4_096;
        for filter in filters().unwrap() {
            assert!(filter.len() < INSTRUCTIONS_MAX, "{}", filter.len());
        }
    }
}
