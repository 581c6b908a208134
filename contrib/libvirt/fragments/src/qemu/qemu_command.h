/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: props */
/* The properties of a filesystem with driver 'proxy', for -fsdev or command
 * fsdev-add, and of its device */
virJSONValue *
qemuBuildFSProxyProps(virDomainFSDef *fs);

int
qemuBuildFSDevArg(virJSONValue **props,
                  const virDomainDef *def,
                  virDomainFSDef *fs,
                  virQEMUCaps *qemuCaps);
