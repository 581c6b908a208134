# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fragment: the options of meson_options.txt as configure's arguments, in the
# form that the base's scripts/meson-buildoptions.py generates.

# graft: proxy-v1-help
  printf "%s\n" '  --disable-virtfs-proxy-v1'
  printf "%s\n" '                           virtio-9p proxy protocol 1'

# graft: helper-help
  printf "%s\n" '  virtfs-mapped   shares as their guests see them'
  printf "%s\n" '  virtfs-proxy-helper'
  printf "%s\n" '                  virtio-9p proxy helper'

# graft: helper-parse
    --enable-virtfs-mapped) printf "%s" -Dvirtfs_mapped=enabled ;;
    --disable-virtfs-mapped) printf "%s" -Dvirtfs_mapped=disabled ;;
    --enable-virtfs-proxy-helper) printf "%s" -Dvirtfs_proxy_helper=enabled ;;
    --disable-virtfs-proxy-helper) printf "%s" -Dvirtfs_proxy_helper=disabled ;;
    --enable-virtfs-proxy-v1) printf "%s" -Dvirtfs_proxy_v1=true ;;
    --disable-virtfs-proxy-v1) printf "%s" -Dvirtfs_proxy_v1=false ;;
