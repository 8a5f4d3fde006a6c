// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The kernel's own P2P distance of two PCI functions, for comparison; and other ids for a host bridge.
 *
 *   echo 0000:01:00.0 0000:02:00.0 >/sys/module/xeplace_pci/parameters/distance, then read that file
 *   echo 0000:00:00.0 8086:09a2 >/sys/module/xeplace_pci/parameters/id
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>

static int last;

static struct pci_dev *find(unsigned int domain, unsigned int bus, unsigned int slot, unsigned int function)
{
	return pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
}

static int set_distance(const char *text, const struct kernel_param *param)
{
	unsigned int a[4], b[4];
	struct pci_dev *provider, *client;
	int error = -ENODEV;

	if (sscanf(text, "%x:%x:%x.%x %x:%x:%x.%x", &a[0], &a[1], &a[2], &a[3], &b[0], &b[1], &b[2], &b[3]) != 8)
		return -EINVAL;
	provider = find(a[0], a[1], a[2], a[3]);
	client = find(b[0], b[1], b[2], b[3]);
	if (provider && client) {
		struct device *clients[] = { &client->dev };

		last = pci_p2pdma_distance_many(provider, clients, 1, false);
		error = 0;
	}
	pci_dev_put(provider);
	pci_dev_put(client);
	return error;
}

static int get_distance(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%d\n", last);
}

/* In the kernel's record only: that is where its list of host bridges is looked up, and what sysfs shows. */
static int set_id(const char *text, const struct kernel_param *param)
{
	unsigned int a[4], vendor, device;
	struct pci_dev *dev;

	if (sscanf(text, "%x:%x:%x.%x %x:%x", &a[0], &a[1], &a[2], &a[3], &vendor, &device) != 6)
		return -EINVAL;
	dev = find(a[0], a[1], a[2], a[3]);
	if (!dev)
		return -ENODEV;
	dev->vendor = vendor;
	dev->device = device;
	pci_dev_put(dev);
	return 0;
}

static const struct kernel_param_ops distance_ops = { .set = set_distance, .get = get_distance };
static const struct kernel_param_ops id_ops = { .set = set_id };

module_param_cb(distance, &distance_ops, NULL, 0600);
module_param_cb(id, &id_ops, NULL, 0200);
MODULE_DESCRIPTION("P2P distances as the kernel computes them");
MODULE_LICENSE("Dual MIT/GPL");
