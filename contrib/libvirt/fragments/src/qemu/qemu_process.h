/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: event */
/* Lets a thread that may wait react to an event about a filesystem's helper:
 * qemuVirtFSProxyHandleEvent(). */
void qemuProcessSubmitFsdevHelper(virDomainObj *vm,
                                  const char *id,
                                  const char *reason);
