from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('models_registry', '0012_template_policies'),
    ]

    operations = [
        migrations.AlterField(
            model_name='workflowrule',
            name='purpose',
            field=models.CharField(blank=True, choices=[('txt2img', 'text to image'), ('img2img', 'image to image'), ('inpaint', 'inpainting'), ('hires', 'hires fix'), ('hires_upscaler', 'hires fix, upscale model'), ('controlnet', 'ControlNet'), ('change_background', 'change of background'), ('upscale', 'upscaling'), ('edit', 'editing by instruction')], help_text='What the request asks for, in any dialect. Empty: anything.', max_length=20, verbose_name='purpose'),
        ),
        migrations.AlterField(
            model_name='workflowtemplate',
            name='purpose',
            field=models.CharField(blank=True, choices=[('txt2img', 'text to image'), ('img2img', 'image to image'), ('inpaint', 'inpainting'), ('hires', 'hires fix, latent upscale'), ('hires_upscaler', 'hires fix, upscale model'), ('change_background', 'change of background'), ('upscale', 'upscaling'), ('edit', 'editing by instruction')], help_text='Used for ComfyUI requests that match no rule. Empty: used only for the rules below.', max_length=20, verbose_name='default for'),
        ),
    ]
